import type { Client, Transaction } from '@libsql/client/web'
import { captureError } from '@tenantry/test-support'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TursoProviderOptions } from '../src/index.ts'
import { createFactory, PROVIDERS } from './both-providers.ts'
import { type Account, startAccount } from './support.ts'

let account: Account
beforeAll(async () => {
  account = await startAccount()
})
afterAll(() => account?.turso.close())

type IntMode = NonNullable<TursoProviderOptions['intMode']>
const BEYOND = 2n ** 53n + 1n
let serial = 0

describe.each(PROVIDERS)('integers with %s', (provider) => {
  async function open(intMode?: IntMode) {
    const factory = createFactory(provider, account, {
      ...(intMode && { intMode }),
      migrations: { '001_numbers': 'CREATE TABLE numbers (id INTEGER PRIMARY KEY, n INTEGER, label TEXT)' },
    })
    const id = `integers-${serial++}`
    await factory.provision(id)
    const { client, db } = await factory.getAdapters(id)
    await client.execute({ sql: 'INSERT INTO numbers VALUES (1, ?, ?)', args: [BEYOND, '7'] })
    await client.execute({ sql: 'INSERT INTO numbers VALUES (2, ?, ?)', args: [-(2n ** 63n), null] })
    return { factory, id, client, db }
  }

  /** Every way to read the integers beyond 2^53. */
  function reads(client: Client, transaction: Transaction): [string, () => Promise<unknown>][] {
    const sql = 'SELECT n FROM numbers WHERE id = 1'
    const first = async (rows: Promise<{ rows: { n?: unknown }[] }>) => (await rows).rows[0]?.n
    return [
      ['execute', () => first(client.execute(sql) as any)],
      ['batch', async () => (await client.batch([sql], 'read'))[0]?.rows[0]?.n],
      ['migrate', async () => (await client.migrate([sql]))[0]?.rows[0]?.n],
      ['transaction', () => first(transaction.execute(sql) as any)],
      ['transaction batch', async () => (await transaction.batch([sql]))[0]?.rows[0]?.n],
    ]
  }

  it.each([
    ['bigint', BEYOND, -(2n ** 63n), 1n],
    ['string', String(BEYOND), String(-(2n ** 63n)), '1'],
  ] as const)('are read as %s with that intMode, in every call', async (intMode, beyond, smallest, one) => {
    const { client, db } = await open(intMode)
    const { rows, columns } = await client.execute('SELECT n, label, 1 AS n FROM numbers ORDER BY id')
    expect(columns).toEqual(['n', 'label', 'n'])
    expect([rows[0]?.n, rows[0]?.[0], rows[0]?.[1], rows[0]?.[2], rows[0]?.length]).toEqual([
      ...[beyond, beyond, '7', one, 3],
    ])
    expect(Object.entries(rows[1] ?? {})).toEqual([
      ['n', smallest],
      ['label', null],
    ])
    const transaction = await client.transaction('read')
    for (const [name, read] of reads(client, transaction)) expect(await read(), name).toBe(beyond)
    transaction.close()
    expect(await db.selectFrom('numbers').select('n').where('id', '=', 1).execute()).toEqual([{ n: beyond }])
    expect((await client.execute('SELECT n FROM numbers LIMIT 1')).toJSON()).toMatchObject({
      rows: [[String(BEYOND)]],
    })
  })

  it('beyond 2^53 are a RangeError of the driver without intMode, and the connection stays usable', async () => {
    const { client } = await open()
    for (let attempt = 0; attempt < 10; attempt++) {
      await expect(client.execute('SELECT n FROM numbers')).rejects.toThrow(RangeError)
    }
    expect((await client.execute('SELECT id FROM numbers')).rows.map(({ id }) => id)).toEqual([1, 2])
  })

  it.each(['bigint', 'string'] as const)('of the core are read right with intMode %s', async (intMode) => {
    const { factory, id, client } = await open(intMode)
    await factory.provision(id)
    expect(await factory.migrate(id)).toBeDefined()
    client.close()
    const next = await factory.getAdapters(id)
    expect(next.client.closed).toBe(false)
    await next.client.execute('SELECT 1')
    await factory.deprovision(id)
    await captureError(factory.getAdapters(id))
  })

  it('refuse an intMode that libSQL does not have', () => {
    expect(() => createFactory(provider, account, { intMode: 'float' as 'number' })).toThrow(
      '[config_invalid] intMode: must be number, bigint or string',
    )
  })
})

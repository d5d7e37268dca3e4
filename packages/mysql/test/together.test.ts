import type { Pool, PoolConnection } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type Relay, startRelay } from './relay.ts'
import { createTestEnvironment, type TestEnvironment } from './support.ts'

let environment: TestEnvironment
let relay: Relay
beforeAll(async () => {
  environment = createTestEnvironment()
  relay = await startRelay(inject('mysqlUrl'))
})
afterAll(async () => {
  await environment?.end()
  await relay?.close()
})

const SYNTAX = { errno: 1064 }

/** A tenant with two connections through the relay, one for batches, and with a table named like the core's. */
async function open(name: string, cleaning: 'always' | 'needed' = 'always', over = relay): Promise<Pool> {
  const url = new URL(inject('mysqlUrl'))
  url.port = String(over.port)
  const provider = environment.another({ connection: url.href, maxConnections: 2, cleaning })
  const { client } = await environment.open(name, provider)
  await client.query('CREATE TABLE IF NOT EXISTS tenantry_probe (id INT PRIMARY KEY)')
  await client.query('CREATE TABLE IF NOT EXISTS counted (id INT PRIMARY KEY)')
  return client
}

async function idsIn(client: Pool, table: string): Promise<number[]> {
  const [rows] = await client.query(`SELECT id FROM ${table} ORDER BY id`)
  return (rows as { id: number }[]).map(({ id }) => id)
}

async function readConnectionId(client: Pool | PoolConnection): Promise<unknown> {
  const [rows] = await client.query('SELECT CONNECTION_ID() AS id')
  return (rows as { id: number }[])[0]?.id
}

const insert = (table: string, id: number) => ({ sql: `INSERT INTO ${table} VALUES (?)`, params: [id] })

describe('several statements in one message', () => {
  const batch = (client: Pool, ...statements: { sql: string; params?: number[] }[]) =>
    environment.provider.batch(client, statements)

  it.each(['always', 'needed'] as const)(
    'are refused from a tenant, also after a batch of the core succeeded or failed (%s)',
    async (cleaning) => {
      const client = await open(`tenant-${cleaning}`, cleaning)
      const two = 'INSERT INTO counted VALUES (8); INSERT INTO counted VALUES (9)'
      await batch(client, insert('counted', 1), insert('counted', 2))
      await expect(client.query(two)).rejects.toMatchObject(SYNTAX)
      await expect(batch(client, insert('counted', 3), insert('counted', 1))).rejects.toMatchObject({
        errno: 1062,
      })
      await expect(client.query(two)).rejects.toMatchObject(SYNTAX)
      const lease = await client.getConnection()
      await expect(lease.query(two)).rejects.toMatchObject(SYNTAX)
      lease.release()
      expect(await idsIn(client, 'counted')).toEqual([1, 2, 3])
    },
  )

  it.each(['SELECT', 'INSERT'])(
    'are never accepted by a connection that serves a tenant (%s)',
    async (verb) => {
      const client = await open(`own-${verb.toLowerCase()}`)
      const record = "INSERT INTO notes VALUES (CONNECTION_ID(), 'core')"
      const read = { sql: 'SELECT CONNECTION_ID() AS id' }
      await batch(client, { sql: record })
      const ids = new Set<unknown>([await readConnectionId(client)])
      if (verb === 'INSERT') await client.query("REPLACE INTO notes VALUES (CONNECTION_ID(), 'tenant')")
      for (let at = 0; at < 5; at++) {
        await Promise.all([batch(client, read, { sql: 'DO 0' }), client.query('SELECT 1')])
        ids.add(await readConnectionId(client))
      }
      const [rows] = await client.query("SELECT id FROM notes WHERE body = 'core'")
      const core = (rows as { id: number }[]).map(({ id }) => id)
      expect(core.filter((id) => ids.has(id))).toEqual([])
    },
  )

  it('are sent one by one to a server that does not accept them', async () => {
    const strict = await startRelay(inject('mysqlUrl'), { oneStatement: true })
    try {
      const client = await open('one-by-one', 'always', strict)
      strict.texts()
      await batch(client, insert('counted', 1), insert('counted', 2))
      expect(strict.texts().filter((text) => text.startsWith('INSERT'))).toHaveLength(2)
      expect(await idsIn(client, 'counted')).toEqual([1, 2])
    } finally {
      await strict.close()
    }
  })

  it('stop at the first refused statement', async () => {
    const client = await open('stops')
    const failing = batch(client, insert('counted', 1), insert('counted', 1), insert('counted', 2))
    await expect(failing).rejects.toMatchObject({ errno: 1062 })
    expect(await idsIn(client, 'counted')).toEqual([1])
  })

  it.each(["SELECT 'left open", 'SELECT 1 /* left open', 'SELECT `left open'])(
    'do not merge with an unterminated statement before them: %s',
    async (sql) => {
      const client = await open('open-ended')
      await expect(batch(client, { sql }, insert('counted', 7), { sql: "SELECT ''" })).rejects.toMatchObject(
        SYNTAX,
      )
      expect(await idsIn(client, 'counted')).toEqual([])
    },
  )

  it('are split outside of quotes, comments and bodies only', async () => {
    const client = await open('quotes')
    await batch(
      client,
      { sql: "INSERT INTO notes VALUES (1, 'a; b -- c') -- and; so on" },
      { sql: 'CREATE TRIGGER t BEFORE INSERT ON notes FOR EACH ROW BEGIN SET @a = 1; SET @b = 2; END' },
      { sql: 'INSERT INTO notes VALUES (2, ?)', params: ["'; DROP TABLE notes; -- "] as never },
    )
    expect((await client.query('SELECT body FROM notes ORDER BY id'))[0]).toEqual([
      { body: 'a; b -- c' },
      { body: "'; DROP TABLE notes; -- " },
    ])
  })

  it('are sent in several messages above the maximum length of a message', async () => {
    const client = await open('long')
    const rows = [1, 2, 3].map((id) => ({
      sql: `INSERT INTO notes VALUES (${id}, 'a') -- ${'x'.repeat(40_000)}`,
    }))
    relay.texts()
    await environment.provider.batch(client, rows)
    expect(relay.texts().filter((text) => text.includes('INSERT'))).toHaveLength(2)
    expect(await idsIn(client, 'notes')).toEqual([1, 2, 3])
  })

  it('leave no settings, no open transaction and no other database', async () => {
    for (const cleaning of ['always', 'needed'] as const) {
      const client = await open(`leaves-${cleaning}`, cleaning)
      await batch(client, { sql: 'USE information_schema' })
      expect((await client.query('SELECT DATABASE() AS d'))[0]).toEqual([
        { d: `${environment.prefix}leaves-${cleaning}` },
      ])
      const mode = async () => (await client.query('SELECT @@sql_mode AS mode, @@in_transaction AS open'))[0]
      const before = await mode()
      await batch(client, insert('counted', 1))
      expect(await mode()).toEqual(before)
      await batch(client, insert('tenantry_probe', 1), insert('tenantry_probe', 1)).catch(() => {})
      expect(await mode()).toEqual(before)
    }
  })
})

describe('the records of the core', () => {
  it('never span a transaction over two messages, in which a stopped process would keep locks', async () => {
    const client = await open('still')
    const long = (table: string, id: number) => ({
      sql: `INSERT INTO ${table} VALUES (${id}) -- ${'x'.repeat(60_000)}`,
    })
    relay.texts()
    const all = [long('counted', 1), long('tenantry_probe', 1), long('tenantry_probe', 2), long('counted', 2)]
    await environment.provider.batch(client, all)
    const texts = relay.texts().filter((text) => text.includes('INSERT'))
    expect(texts.length).toBeGreaterThan(1)
    for (const text of texts) expect(text.includes('BEGIN')).toBe(text.includes('COMMIT'))
    expect(await idsIn(client, 'tenantry_probe')).toEqual([1, 2])
  })

  it('share a transaction with each other, and never with a statement of a migration', async () => {
    const client = await open('whole')
    const failing = environment.provider.batch(client, [
      insert('tenantry_probe', 1),
      insert('counted', 1),
      insert('tenantry_probe', 2),
      insert('tenantry_probe', 1),
    ])
    await expect(failing).rejects.toMatchObject({ errno: 1062 })
    expect(await idsIn(client, 'counted')).toEqual([1])
    expect(await idsIn(client, 'tenantry_probe')).toEqual([1])
  })
})

it('a connection that ends during a batch rejects the batch, and the pool serves further batches', async () => {
  const client = await open('ended')
  const waiting = environment.provider.batch(client, [{ sql: 'DO SLEEP(60)' }])
  let id: unknown
  while (id === undefined) {
    const [row] = await environment.sql(
      "SELECT id FROM information_schema.processlist WHERE db = ? AND info LIKE '%SLEEP%' AND id <> CONNECTION_ID()",
      [`${environment.prefix}ended`],
    )
    id = row?.id
  }
  await Promise.all([
    expect(waiting).rejects.toMatchObject({ code: 'provider_unavailable' }),
    environment.sql('KILL CONNECTION ?', [id]),
  ])
  await environment.provider.batch(client, [insert('counted', 1)])
  expect(await idsIn(client, 'counted')).toEqual([1])
})

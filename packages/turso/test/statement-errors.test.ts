import type { Client } from '@libsql/client/web'
import { TenancyError } from '@tenantry/multi-tenancy'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createFactory, PROVIDERS } from './both-providers.ts'
import { type Account, startAccount } from './support.ts'

let account: Account
beforeAll(async () => {
  account = await startAccount()
})
afterAll(() => account?.turso.close())

let serial = 0

describe.each(PROVIDERS)("a failed statement with %s throws the driver's own error", (provider) => {
  let client: Client
  beforeEach(async () => {
    const factory = createFactory(provider, account, {
      migrations: { '001_notes': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE)' },
    })
    const id = `errors-${serial++}`
    await factory.provision(id)
    client = (await factory.getAdapters(id)).client
    await client.execute("INSERT INTO notes VALUES (1, 'taken')")
  })

  const catchError = (work: Promise<unknown>): Promise<any> =>
    work.then(
      () => expect.unreachable('The statement should fail'),
      (error: unknown) => error,
    )

  it.each([
    ['a syntax error', 'SELEC 1', /^(?:SQLITE_ERROR|SQL_PARSE_ERROR)/],
    ['a missing table', 'SELECT * FROM missing', /^SQLITE_(?:ERROR|UNKNOWN)/],
    ['a broken UNIQUE constraint', "INSERT INTO notes VALUES (2, 'taken')", /^SQLITE_CONSTRAINT/],
    ['a broken NOT NULL constraint', 'INSERT INTO notes VALUES (2, NULL)', /^SQLITE_CONSTRAINT/],
  ])('for %s', async (_, sql, code) => {
    for (const run of [() => client.execute(sql), () => client.batch([sql], 'write')]) {
      const error = await catchError(run())
      expect(error.name).toMatch(/^Libsql/)
      expect(error.code).toMatch(code)
    }
  })

  it.each([
    ['an infinite number', Number.POSITIVE_INFINITY, RangeError],
    ['a bigint of more than 64 bits', 2n ** 64n, RangeError],
    ['undefined', undefined, TypeError],
  ])('for the argument %s', async (_, value, type) => {
    const statement = { sql: 'SELECT ?', args: [value as any] }
    for (const run of [() => client.execute(statement), () => client.batch([statement], 'write')]) {
      const error = await catchError(run())
      expect(error).toBeInstanceOf(type)
      expect(error).not.toBeInstanceOf(TenancyError)
    }
    expect((await client.execute('SELECT count(*) AS n FROM notes')).rows[0]?.n).toBe(1)
  })

  it('for an unknown transaction mode', async () => {
    const run = async () => (await client.transaction('sideways' as 'write')).execute('SELECT 1')
    expect(await catchError(run())).toBeInstanceOf(RangeError)
  })

  it('for a statement after the end of its transaction', async () => {
    const transaction = await client.transaction('write')
    await transaction.execute("INSERT INTO notes VALUES (2, 'new')")
    await transaction.commit()
    expect(await catchError(transaction.execute('SELECT 1'))).toMatchObject({ code: 'TRANSACTION_CLOSED' })
    expect(await catchError(transaction.commit())).toMatchObject({ code: 'TRANSACTION_CLOSED' })
  })

  it('for a constraint that the commit breaks, and the transaction is rolled back', async () => {
    await client.executeMultiple(`
      CREATE TABLE parents (id INTEGER PRIMARY KEY);
      CREATE TABLE children (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
    `)
    for (let attempt = 0; attempt < 3; attempt++) {
      const transaction = await client.transaction('write')
      await transaction.execute('INSERT INTO children VALUES (404)')
      expect((await catchError(transaction.commit())).code).toMatch(/^SQLITE_CONSTRAINT/)
      const [reader, writer] = [await client.transaction('read'), await client.transaction('write')]
      expect((await reader.execute('SELECT * FROM children')).rows).toEqual([])
      await writer.execute('INSERT INTO parents DEFAULT VALUES')
      await writer.commit()
      reader.close()
    }
    expect((await client.execute('SELECT count(*) AS n FROM children')).rows[0]?.n).toBe(0)
    expect((await client.execute('SELECT count(*) AS n FROM parents')).rows[0]?.n).toBe(3)
  })
})

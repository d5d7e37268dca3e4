import { captureError } from '@tenantry/test-support'
import { Pool, Query } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PostgresSchemaProviderOptions } from '../src/index.ts'
import { connectClient, createDatabase, type TestDatabase } from './database.ts'
import { type PgBouncer, startPgBouncer, withoutPgBouncer } from './pgbouncer.ts'
import { POLLUTERS, pollute, snapshot } from './polluters.ts'
import { createProvider, open, type Provider } from './support.ts'

if (withoutPgBouncer !== undefined) console.warn(`SKIPPED, all tests behind a pooler: ${withoutPgBouncer}`)

describe.skipIf(withoutPgBouncer !== undefined)('behind PgBouncer', () => {
  let database: TestDatabase
  let transaction: PgBouncer
  const closing: (() => Promise<void>)[] = []
  beforeAll(async () => {
    database = await createDatabase()
    transaction = await startPgBouncer(database.url, { size: 1 })
    closing.push(transaction.stop)
  })
  afterAll(async () => {
    for (const close of closing.reverse()) await close()
    await database?.drop()
  })

  function through(bouncer: PgBouncer, options: Partial<PostgresSchemaProviderOptions>): Provider {
    const { host, port } = bouncer
    const provider = createProvider(database, { serve: { host, port }, ...options })
    closing.push(provider.close)
    return provider
  }

  it('leaks between two tenants that SET search_path without the provider', async () => {
    const direct = createProvider(database, { isolation: 'search_path' })
    closing.push(direct.close)
    for (const name of ['naive_a', 'naive_b']) await open(direct, name)
    const url = new URL(database.url)
    url.host = `127.0.0.1:${transaction.port}`
    const [a, b] = ['naive_a', 'naive_b'].map(() => new Pool({ connectionString: url.href, max: 1 }))
    await a?.query('SET search_path TO naive_a')
    await b?.query('SET search_path TO naive_b')
    expect((await a?.query('SELECT body FROM notes'))?.rows).toEqual([{ body: 'of naive_b' }])
    await b?.query('RESET ALL')
    await Promise.all([a?.end(), b?.end()])
  })

  it.each([1, 3])(
    "rejects pooler: 'session' with the first connection, of %d server connections",
    async (size) => {
      const bouncer = size === 1 ? transaction : await startPgBouncer(database.url, { size })
      if (size > 1) closing.push(bouncer.stop)
      for (const isolation of ['search_path', 'set_role'] as const) {
        const provider = through(bouncer, { isolation, pooler: 'session' })
        const error = await captureError(open(provider, `probe_${isolation}_${size}`))
        expect(error).toMatchObject({ code: 'config_invalid' })
        expect(error.message).toContain("pooler: 'transaction'")
        const client = await open(provider, `probe_${isolation}_${size}`)
        expect(await captureError(client.query('SELECT 1'))).toMatchObject({ code: 'config_invalid' })
        expect(await captureError(client.connect())).toMatchObject({ code: 'config_invalid' })
      }
    },
  )

  it('accepts a session pooler and serves through it', async () => {
    const bouncer = await startPgBouncer(database.url, { mode: 'session', size: 5 })
    closing.push(bouncer.stop)
    const provider = through(bouncer, { isolation: 'search_path', maxConnections: 3 })
    const client = await open(provider, 'session_a')
    expect((await client.query('SELECT body FROM notes')).rows).toEqual([{ body: 'of session_a' }])
  })

  it('resets the session of the last client when a session pooler has no server_reset_query', async () => {
    const bouncer = await startPgBouncer(database.url, {
      mode: 'session',
      size: 2,
      settings: ['server_reset_query ='],
    })
    closing.push(bouncer.stop)
    const direct = createProvider(database, { isolation: 'search_path' })
    closing.push(direct.close)
    await open(direct, 'uncleaned_a')
    const url = new URL(database.url)
    url.host = `127.0.0.1:${bouncer.port}`
    const last = await connectClient(url.href)
    await last.query("CREATE TEMP TABLE notes AS SELECT 1 AS id, 'of another client'::text AS body")
    await last.end()
    const provider = through(bouncer, { isolation: 'search_path', maxConnections: 2 })
    const client = await open(provider, 'uncleaned_a')
    expect((await client.query('SELECT body FROM notes')).rows).toEqual([{ body: 'of uncleaned_a' }])
  })

  it.each(['set_role', 'search_path', 'role'] as const)(
    '%s: 5,000 interleaved queries of eight tenants on one server connection each read their own tenant',
    async (isolation) => {
      const provider = through(transaction, {
        isolation,
        pooler: 'transaction',
        maxConnections: 8,
        maxConnectionsPerTenant: 2,
      })
      const names = Array.from({ length: 8 }, (_, at) => `${isolation}_cross_${at}`)
      const clients = []
      for (const name of names) clients.push(await open(provider, name))
      const pids = new Set<number>()
      let crossed = 0
      let queries = 0
      const check = ({ rows }: { rows: any[] }, at: number) => {
        queries++
        pids.add(rows[0].pid)
        if (rows.length !== 1 || rows[0].body !== `of ${names[at]}`) crossed++
      }
      const read = 'SELECT body, pg_backend_pid() AS pid FROM notes WHERE id = $1'
      await Promise.all(
        clients.map(async (client, at) => {
          for (let round = 0; round < 105; round++) {
            await Promise.all([client.query(read, [1]), client.query(read, [1])]).then((all) => {
              for (const each of all) check(each, at)
            })
            const lease = await client.connect()
            await lease.query('BEGIN')
            check(await lease.query(read, [1]), at)
            check(await lease.query(read, [1]), at)
            await lease.query(round % 2 === 0 ? 'COMMIT' : 'ROLLBACK')
            check(await lease.query(read, [1]), at)
            check(await lease.query(read, [1]), at)
            lease.release()
          }
        }),
      )
      expect(queries).toBe(5_040)
      expect(crossed).toBe(0)
      // The tenants have shared one connection. With `role`, PgBouncer keeps a pool for each role.
      expect(pids.size).toBe(isolation === 'role' ? names.length : 1)
    },
    60_000,
  )

  it.each(['set_role', 'search_path'] as const)(
    '%s: state of a session is rejected, or reset after its statement',
    async (isolation) => {
      const provider = through(transaction, { isolation, pooler: 'transaction' })
      const [alice, bob] = [
        await open(provider, `${isolation}_alice`),
        await open(provider, `${isolation}_bob`),
      ]
      const before = (await snapshot(bob)).state
      const refused: string[] = []
      for (const [state, statements] of Object.entries(POLLUTERS)) {
        const [first = ''] = statements.filter((text) => !/^(?:BEGIN|COMMIT)$/.test(text))
        const error = await alice.query(first).then(
          () => undefined,
          (thrown: any) => thrown,
        )
        if (error?.code === 'not_supported') refused.push(state)
        const client = await alice.connect()
        await pollute(client, statements)
        client.release()
        expect((await snapshot(bob)).state, state).toEqual(before)
        await bob.query('SELECT count(*) FROM notes')
      }
      expect(refused).toEqual([
      'a setting', 'a search_path', 'a timeout', 'read-only transactions', 'a setting of its own', 'a setting from a function',
      'a role', 'a session authorization', 'a temporary table named like a real one', 'an advisory lock',
      'an advisory lock before an error', 'a prepared statement', 'a channel listened to', 'a cursor that outlives its transaction',
      'an isolation level',
    ]) // biome-ignore format: a list
    },
  )

  it("keeps a pooler's prepared statements, and removes those of a tenant", async () => {
    await open(through(transaction, { isolation: 'set_role', pooler: 'transaction' }), 'kept_a')
    const pooler = await connectClient(database.url)
    await pooler.query({ name: 'of_all', text: 'SELECT 1' })
    await pooler.query('DO $$ BEGIN EXECUTE \'PREPARE "of a tenant" AS SELECT 1\'; END $$')
    await pooler.query('CALL tenantry.leave_4()')
    const { rows } = await pooler.query('SELECT name FROM pg_prepared_statements')
    await pooler.end()
    expect(rows).toEqual([{ name: 'of_all' }])
  })

  it('resets a session without the types that a tenant has created', async () => {
    const bouncer = await startPgBouncer(database.url, { size: 1 })
    closing.push(bouncer.stop)
    const provider = through(bouncer, { isolation: 'set_role', pooler: 'transaction' })
    const [alice, bob] = [await open(provider, 'typed_alice'), await open(provider, 'typed_bob')]
    await alice.query(
      "CREATE FUNCTION spy(pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'spied'; RETURN true; END $$",
    )
    await alice.query('CREATE DOMAIN text AS pg_catalog.text CHECK (spy(VALUE::pg_catalog.text))')
    // The next connection has called no procedure yet.
    await database.sql('SELECT pg_terminate_backend($1)', [(await snapshot(bob)).pid])
    await expect
      .poll(() =>
        alice.query("SELECT set_config('search_path', 'typed_alice, pg_catalog', true)").then(
          () => true,
          () => false,
        ),
      )
      .toBe(true)
    const lease = await bob.connect()
    const notices: unknown[] = []
    lease.on('notice', ({ message }) => notices.push(message))
    await lease.query('SELECT 1')
    lease.release()
    expect(notices).toEqual([])
  })

  it('isolates statements that were sent without awaiting, also after an error in the one before', async () => {
    const provider = through(transaction, { isolation: 'set_role', pooler: 'transaction' })
    const client = await (await open(provider, 'after_error')).connect()
    const texts = ['SELECT 1 / 0', 'SELECT body FROM notes', 'SELECT 1 / 0', 'BEGIN', 'SELECT body FROM notes', 'SELECT 1 / 0',
      'SELECT 1', 'ROLLBACK', 'SELECT body FROM notes', 'SELECT 1 / 0', 'ROLLBACK', 'SELECT body FROM notes'] // biome-ignore format: a list
    const outcomes = await Promise.allSettled(texts.map((text) => client.query(text)))
    client.release()
    const rows = [{ body: 'of after_error' }]
    expect(outcomes.map((each) => (each.status === 'fulfilled' ? each.value.rows : each.reason.code))).toEqual([
      '22012', rows, '22012', [], rows, '22012', '25P02', [], rows, '22012', [], rows,
    ]) // biome-ignore format: a list
  })

  it('does not let a tenant choose the seed of the random numbers of another tenant', async () => {
    const bouncer = await startPgBouncer(database.url, { size: 1 })
    closing.push(bouncer.stop)
    const provider = through(bouncer, { isolation: 'set_role', pooler: 'transaction' })
    const [alice, bob] = [await open(provider, 'seeded_alice'), await open(provider, 'seeded_bob')]
    const numbers = new Set<number>()
    for (let round = 0; round < 3; round++) {
      await alice.query('SELECT setseed(0.5)')
      numbers.add((await bob.query('SELECT random() AS number')).rows[0].number)
      await alice.query('SELECT setseed(0.5)')
      const lease = await bob.connect()
      await lease.query('BEGIN')
      numbers.add((await lease.query('SELECT random() AS number')).rows[0].number)
      await lease.query('COMMIT')
      lease.release()
    }
    expect(numbers.size).toBe(6)
  })

  it('lets the statement after an error write, because the reset leaves no setting behind', async () => {
    const provider = through(transaction, { isolation: 'set_role', pooler: 'transaction' })
    const client = await (await open(provider, 'writes_after')).connect()
    const failed = () => client.query('SELECT 1 / 0').catch(() => {})
    await failed()
    await client.query("INSERT INTO notes (body) VALUES ('alone')")
    await failed()
    await client.query('BEGIN')
    await client.query("INSERT INTO notes (body) VALUES ('together')")
    await client.query('COMMIT')
    expect((await client.query('SELECT body FROM notes ORDER BY id')).rows).toEqual(
      ['of writes_after', 'alone', 'together'].map((body) => ({ body })),
    )
    client.release()
  })

  it.each(['COPY notes FROM STDIN', 'COPY seen FROM STDIN'])(
    'gives each query its own answer after %s, which has no data to send',
    async (copy) => {
      const provider = through(transaction, {
        isolation: 'set_role',
        pooler: 'transaction',
        maxConnections: 1,
      })
      const pool = await open(provider, 'copied')
      await pool.query('CREATE OR REPLACE VIEW seen AS SELECT body FROM notes')
      await expect(pool.query(copy)).rejects.toThrow(/copy/i)
      const lease = await pool.connect()
      await lease.query('BEGIN')
      const outcomes = await Promise.allSettled([lease.query(copy), lease.query('SELECT 1')])
      expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
      await lease.query('COMMIT')
      lease.release()
      await expect(provider.batch(pool, [{ sql: 'SELECT 1' }, { sql: copy }])).rejects.toThrow(/copy/i)
      for (let at = 0; at < 4; at++)
        expect((await pool.query('SELECT $1::int AS number', [at])).rows).toEqual([{ number: at }])
    },
  )

  it('does not let a cursor or a stream end a transaction', async () => {
    const provider = through(transaction, { isolation: 'set_role', pooler: 'transaction' })
    const client = await (await open(provider, 'ended_by_cursor')).connect()
    await client.query('BEGIN')
    for (const text of ['COMMIT', 'SELECT 1; -- x\rROLLBACK', 'SET TimeZone = UTC']) {
      const reported = new Promise((resolve) => client.query(new Query(text)).on('error', resolve))
      expect(await reported).toMatchObject({ code: 'not_supported' })
    }
    await client.query('ROLLBACK')
    client.release()
  })

  it('runs named statements of the driver and sends them without their names', async () => {
    const provider = through(transaction, { isolation: 'set_role', pooler: 'transaction' })
    const client = await open(provider, 'named_a')
    for (let round = 0; round < 3; round++) {
      const { rows } = await client.query({
        name: 'by-id',
        text: 'SELECT body FROM notes WHERE id = $1',
        values: [1],
      })
      expect(rows).toEqual([{ body: 'of named_a' }])
    }
  })
})

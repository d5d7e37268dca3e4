import { captureError, neverAborted } from '@tenantry/test-support'
import { drizzle } from 'drizzle-orm/node-postgres'
import { type Kysely, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { Client, Pool, type PoolClient, Query } from 'pg'
import QueryStream from 'pg-query-stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Isolation } from '../src/index.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { startPgBouncer, withoutPgBouncer } from './pgbouncer.ts'
import { createProvider, open, type Provider } from './support.ts'

const ISOLATIONS: readonly Isolation[] = ['role', 'set_role', 'search_path']

let database: TestDatabase
const closing: (() => Promise<void>)[] = []
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(async () => {
  for (const close of closing.reverse()) await close()
  await database?.drop()
})

function start(options: Parameters<typeof createProvider>[1]): Provider {
  const provider = createProvider(database, { maxConnections: 4, idleTimeout: 300, ...options })
  closing.push(provider.close)
  return provider
}

async function readAll(stream: QueryStream): Promise<unknown[]> {
  const rows = []
  for await (const row of stream) rows.push(row)
  return rows
}

/** Runs work with a client of the pool, and releases it. */
async function withClient<Value>(pool: Pool, work: (client: PoolClient) => Promise<Value>): Promise<Value> {
  const client = await pool.connect()
  try {
    return await work(client)
  } finally {
    client.release()
  }
}

describe.each(ISOLATIONS)('%s: a client of connect()', (isolation) => {
  it('is a pg.Client for libraries, and each method that it inherits works', async () => {
    const pool = await open(start({ isolation }), `${isolation}_shape`)
    const client = await pool.connect()
    expect(client).toBeInstanceOf(Client)
    expect(client).not.toBeInstanceOf(Pool)
    const db = drizzle(client)
    await db.transaction(async (tx) => {
      await tx.execute("INSERT INTO notes (body) VALUES ('by drizzle')")
    })
    expect((await client.query('SELECT count(*)::int AS n FROM notes')).rows).toEqual([{ n: 2 }])
    expect(client.escapeLiteral("it's")).toBe("'it''s'")
    expect(() => client.connect()).toThrow(/already been connected/)
    const ended = new Promise((resolve) => client.once('end', resolve as () => void))
    await (client as unknown as Client).end()
    await ended
    expect(await captureError(client.query('SELECT 1'))).toMatchObject({ code: 'closed' })
    client.release()
    expect((await pool.query('SELECT count(*)::int AS n FROM notes')).rows).toEqual([{ n: 2 }])
  })

  it('is a session until it is released', async () => {
    const provider = start({ isolation, maxConnections: 1 })
    const [pool, other] = [
      await open(provider, `${isolation}_session`),
      await open(provider, `${isolation}_other`),
    ]
    await withClient(pool, async (client) => {
      await client.query("SET app.note = 'kept'")
      await client.query('CREATE TEMP TABLE scratch (id int)')
      await client.query('INSERT INTO scratch VALUES (1)')
      await client.query('SELECT pg_advisory_lock(4712)')
      await client.query('LISTEN news')
      const notified = new Promise((resolve) => client.once('notification', resolve))
      await client.query("SELECT pg_notify('news', 'now')")
      expect(await notified).toMatchObject({ channel: 'news', payload: 'now' })
      await client.query('SELECT 1 / 0').catch(() => {})
      const state =
        "SELECT current_setting('app.note') AS note, (SELECT count(*)::int FROM scratch) AS rows, " +
        '(SELECT count(*)::int FROM pg_locks WHERE objid = 4712 AND pid = pg_backend_pid()) AS locks, (SELECT min(body) FROM notes) AS body'
      const expected = [{ note: 'kept', rows: 1, locks: 1, body: `of ${isolation}_session` }]
      expect((await client.query(state)).rows).toEqual(expected)
    })
    for (const next of [pool, other]) {
      const left =
        "SELECT coalesce(current_setting('app.note', true), '') AS note, to_regclass('pg_temp.scratch') AS scratch, " +
        '(SELECT count(*)::int FROM pg_locks WHERE objid = 4712) AS locks, (SELECT count(*)::int FROM pg_listening_channels()) AS channels'
      expect((await next.query(left)).rows).toEqual([{ note: '', scratch: null, locks: 0, channels: 0 }])
    }
  })

  it('runs statements that a transaction does not allow, as its first statement and later', async () => {
    const pool = await open(start({ isolation }), `${isolation}_outside`)
    await withClient(pool, (client) => client.query('CREATE INDEX CONCURRENTLY ON notes (body)'))
    await withClient(pool, async (client) => {
      await client.query('SELECT 1')
      await client.query('VACUUM notes').catch((error) => expect(error.code).not.toBe('25001'))
    })
  })

  it('reads with a cursor, outside a transaction and in one, between other statements', async () => {
    const pool = await open(start({ isolation }), `${isolation}_cursor`)
    const numbers = Array.from({ length: 250 }, (_, at) => ({ n: at + 1 }))
    const series = () => new QueryStream('SELECT generate_series(1, $1::int) AS n', [250], { batchSize: 20 })
    await withClient(pool, async (client) => {
      expect(await readAll(client.query(series()))).toEqual(numbers)
      expect((await client.query('SELECT body FROM notes')).rows).toEqual([
        { body: `of ${isolation}_cursor` },
      ])
      await client.query('BEGIN')
      expect(await readAll(client.query(series()))).toEqual(numbers)
      expect((await client.query('SELECT body FROM notes')).rows).toHaveLength(1)
      await client.query('COMMIT')
      await expect(readAll(client.query(new QueryStream('SELECT missing')))).rejects.toMatchObject({
        code: '42703',
      })
      expect(await readAll(client.query(series()))).toEqual(numbers)
    })
    expect((await pool.query('SELECT body FROM notes')).rows).toHaveLength(1)
  })

  it('with an open cursor closes its connection at release, and no later lease gets that connection', async () => {
    const provider = start({ isolation, maxConnections: 1 })
    const pool = await open(provider, `${isolation}_open_cursor`)
    const client = await pool.connect()
    const stream = client.query(
      new QueryStream('SELECT generate_series(1, 1000) AS n', [], { batchSize: 10 }),
    )
    stream.on('error', () => {})
    await new Promise((resolve) => stream.once('readable', resolve))
    client.release()
    expect((await pool.query('SELECT body FROM notes')).rows).toHaveLength(1)
  })

  it('answers statements that were sent without awaiting in the order of their calls', async () => {
    const pool = await open(start({ isolation }), `${isolation}_order`)
    await withClient(pool, async (client) => {
      const texts = ['SELECT 1 / 0', 'SELECT 2 AS n', 'BEGIN', 'SELECT 3 AS n', 'SELECT 1 / 0', 'SELECT 4 AS n', 'ROLLBACK', 'SELECT 5 AS n'] // biome-ignore format: a list
      const order: number[] = []
      const outcomes = await Promise.allSettled(
        texts.map((text, at) => client.query(text).finally(() => order.push(at))),
      )
      expect(order).toEqual(texts.map((_, at) => at))
      expect(outcomes.map((each) => (each.status === 'fulfilled' ? each.value.rows[0]?.n : each.reason.code))).toEqual([
        '22012', 2, undefined, 3, '22012', '25P02', undefined, 5,
      ]) // biome-ignore format: a list
    })
  })

  it.each(['cancel', 'terminate'] as const)(
    'is stopped when Kysely asks the server to %s its query',
    async (action) => {
      const pool = await open(start({ isolation }), `${isolation}_${action}`)
      const db = start({ isolation }).kysely(pool) as Kysely<any>
      await sql`SELECT 1`.execute(db)
      const controller = new AbortController()
      const strategy = action === 'cancel' ? 'cancel query' : 'kill session'
      const writing = db
        .insertInto('notes')
        .values({ body: sql`(SELECT 'late' FROM pg_sleep(20))` })
        .execute({ signal: controller.signal, inflightQueryAbortStrategy: strategy })
      await expect
        .poll(() =>
          database.sql("SELECT FROM pg_stat_activity WHERE query LIKE '%late%' AND wait_event = 'PgSleep'"),
        )
        .toHaveLength(1)
      controller.abort()
      await expect(writing).rejects.toThrow()
      await expect
        .poll(() =>
          database.sql("SELECT FROM pg_stat_activity WHERE query LIKE '%late%' AND wait_event = 'PgSleep'"),
        )
        .toEqual([])
      expect((await pool.query('SELECT body FROM notes')).rows).toHaveLength(1)
    },
  )

  it('cancels no query of another tenant', async () => {
    const provider = start({ isolation })
    const [pool, other] = [
      await open(provider, `${isolation}_mine`),
      await open(provider, `${isolation}_theirs`),
    ]
    await withClient(other, async (client) => {
      const { processID } = client as unknown as { processID: number }
      const control = new (pool as unknown as { Client: new () => Client }).Client()
      expect(await captureError(control.query(`select pg_terminate_backend(${processID})`))).toMatchObject({
        code: 'not_supported',
      })
      expect(await captureError(control.query('SELECT 1'))).toMatchObject({ code: 'not_supported' })
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    })
  })

  it("runs Kysely's Migrator once in each schema, also when several start concurrently", async () => {
    const provider = start({ isolation })
    for (const name of [`${isolation}_migrator_a`, `${isolation}_migrator_b`]) {
      await open(provider, name)
      const { locator } = await provider.create(name, neverAborted)
      const pool = await provider.connect(
        { locator, purpose: 'manage', verify: async () => {} },
        neverAborted,
      )
      let runs = 0
      const migrate = () =>
        new Migrator({
          db: provider.kysely(pool),
          // Without it, another tenant's table of that name counts as this one's.
          migrationTableSchema: name,
          provider: {
            getMigrations: async () => ({
              '001': {
                up: async (db: Kysely<any>) => {
                  runs++
                  await db.schema.createTable('third').addColumn('id', 'integer').execute()
                },
              },
            }),
          },
        }).migrateToLatest()
      for (const { error } of await Promise.all([migrate(), migrate(), migrate()]))
        expect(error).toBeUndefined()
      expect(runs).toBe(1)
      expect((await pool.query('SELECT * FROM third')).rows).toEqual([])
    }
  })
})

describe.each(ISOLATIONS)('%s: the pool', (isolation) => {
  it('reports each connection that serves the tenant, each use, and the end of each connection', async () => {
    const provider = start({ isolation, maxConnections: 1 })
    const pool = await open(provider, `${isolation}_events`)
    const seen: string[] = []
    for (const event of ['connect', 'acquire', 'release', 'remove'] as const)
      pool.on(event, () => seen.push(event))
    await pool.query('SELECT 1')
    await pool.query('SELECT 1')
    expect(seen.slice(0, 5)).toEqual(['connect', 'acquire', 'release', 'acquire', 'release'])
    const client = await pool.connect()
    const drained = new Promise((resolve) => client.once('drain', resolve as () => void))
    await client.query('SELECT 1')
    await drained
    client.release(true)
    await expect.poll(() => seen.includes('remove')).toBe(true)
  })

  it('reports a function, a cursor and a stream by an event as the driver does, and throws nothing', async () => {
    const pool = await open(start({ isolation }), `${isolation}_reported`)
    const called = new Promise<Error>((resolve) => (pool.query as (call: unknown) => void)(resolve))
    expect((await called).message).toMatch(/function as the first parameter/)
    await expect(readAll(pool.query(new QueryStream('SELECT 1')))).rejects.toMatchObject({
      code: 'not_supported',
    })
    const reported = new Promise((resolve) => pool.query(new Query('SELECT 1')).on('error', resolve))
    expect(await reported).toMatchObject({ code: 'not_supported' })
  })
})

if (withoutPgBouncer !== undefined) console.warn(`SKIPPED, leases behind a pooler: ${withoutPgBouncer}`)

describe.skipIf(withoutPgBouncer !== undefined)('behind a transaction pooler, a client of connect()', () => {
  let pool: Pool
  beforeAll(async () => {
    const bouncer = await startPgBouncer(database.url)
    closing.push(bouncer.stop)
    const { host, port } = bouncer
    pool = await open(
      start({ isolation: 'set_role', pooler: 'transaction', serve: { host, port } }),
      'pooled_lease',
    )
  })

  it('rejects statements that need a session, and runs a cursor in a transaction only', async () => {
    await withClient(pool, async (client) => {
      for (const text of [
        "SET app.note = 'kept'",
        'LISTEN news',
        'SELECT pg_advisory_lock(1)',
        'CREATE TEMP TABLE t (id int)',
      ])
        expect(await captureError(client.query(text))).toMatchObject({ code: 'not_supported' })
      const stream = () => new QueryStream('SELECT generate_series(1, 200) AS n', [], { batchSize: 30 })
      await expect(readAll(client.query(stream()))).rejects.toMatchObject({ code: 'not_supported' })
      await client.query('BEGIN')
      expect(await readAll(client.query(stream()))).toHaveLength(200)
      expect((await client.query('SELECT body FROM notes')).rows).toEqual([{ body: 'of pooled_lease' }])
      await client.query('COMMIT')
      expect((await client.query('SELECT body FROM notes')).rows).toEqual([{ body: 'of pooled_lease' }])
    })
  })

  it('reports that it has not cancelled a query', async () => {
    const control = new (pool as unknown as { Client: new () => Client }).Client()
    expect(await captureError(control.query('select pg_cancel_backend(1)'))).toMatchObject({
      code: 'not_supported',
      message: expect.stringContaining('not cancelled'),
    })
  })
})

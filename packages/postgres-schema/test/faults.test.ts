import type { Kysely } from 'kysely'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Isolation } from '../src/index.ts'
import { createPostgresSchemaProvider } from '../src/index.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts'
import { createProvider, open, type Provider } from './support.ts'

const ISOLATIONS: readonly Isolation[] = ['role', 'set_role', 'search_path']

let database: TestDatabase
let proxy: FaultProxy
const providers: Provider[] = []
beforeAll(async () => {
  database = await createDatabase()
  proxy = await startFaultProxy(database.url)
})
afterEach(() => {
  proxy.delay = () => 0
  proxy.cutAfter = Number.POSITIVE_INFINITY
})
afterAll(async () => {
  for (const provider of providers) await provider.close()
  await proxy?.stop()
  await database?.drop()
})

/** Tenants go through the proxy, with a deadline on their side; the administrator does not. */
function through(isolation: Isolation, queryTimeout: number): Provider {
  const { hostname: host, port, username: user, password, pathname } = new URL(database.url)
  const connection = {
    host,
    port: Number(port || 5432),
    user,
    password: decodeURIComponent(password),
    database: pathname.slice(1),
  }
  const provider = createPostgresSchemaProvider({
    connection: { ...connection, query_timeout: queryTimeout },
    serve: { host: proxy.host, port: proxy.port },
    secret: database.secret, isolation, maxConnections: 6, drainTimeout: 500,
  }) // biome-ignore format: one object
  providers.push(provider)
  return provider
}

describe('answers that come late', () => {
  it.each(ISOLATIONS)(
    '%s: each of 1,000 queries gets its own answer or an error',
    async (isolation) => {
      const provider = through(isolation, 300)
      const clients = await Promise.all(
        ['a', 'b', 'c'].map((end) => open(provider, `${isolation}_late_${end}`)),
      )
      let seed = 1
      const random = (): number => {
        seed = (seed * 16807) % 2147483647
        return seed / 2147483647
      }
      // The answer arrives long after the deadline.
      proxy.delay = () => (random() < 0.03 ? 500 : 0)
      const outcomes = { own: 0, error: 0, another: 0 }
      let id = 0
      await Promise.all(
        Array.from({ length: 6 }, async (_, worker) => {
          const at = worker % 3
          while (id < 1_000) {
            const sentId = id++
            await clients[at]?.query('SELECT $1::int AS id, body FROM notes', [sentId]).then(
              ({ rows: [row] }) => {
                const own = row.id === sentId && row.body === `of ${isolation}_late_${'abc'[at]}`
                outcomes[own ? 'own' : 'another']++
              },
              () => outcomes.error++,
            )
          }
        }),
      )
      expect(outcomes.another).toBe(0)
      expect(outcomes.own + outcomes.error).toBe(1_000)
      expect(outcomes.own).toBeGreaterThan(500)
      expect(outcomes.error).toBeGreaterThan(5)
      proxy.delay = () => 0
      for (const client of clients) expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    },
    60_000,
  )

  it('a transaction ends when one of its statements times out, and its lease runs no further statement', async () => {
    const provider = through('set_role', 300)
    const client = await open(provider, 'late_transaction')
    const lease = await client.connect()
    await lease.query('BEGIN')
    await lease.query("UPDATE notes SET body = 'changed'")
    await expect(lease.query('SELECT pg_sleep(1)')).rejects.toMatchObject({ code: 'timeout' })
    await expect(lease.query('COMMIT')).rejects.toMatchObject({ code: 'closed' })
    lease.release()
    expect((await client.query('SELECT body FROM notes')).rows).toEqual([{ body: 'of late_transaction' }])
  })
})

describe('a deadline of the driver', () => {
  function withDeadline(queryTimeout: number): Provider {
    const { hostname: host, port, username: user, password, pathname } = new URL(database.url)
    // biome-ignore format: one object
    const connection = { host, port: Number(port || 5432), user, password: decodeURIComponent(password), database: pathname.slice(1) }
    const provider = createProvider(database, {
      connection: { ...connection, query_timeout: queryTimeout },
      isolation: 'set_role',
      maxConnections: 1,
    })
    providers.push(provider)
    return provider
  }

  it('that one statement extends causes no error in later queries, and the connection stays open', async () => {
    const provider = withDeadline(200)
    const [alice, bob] = [await open(provider, 'deadline_alice'), await open(provider, 'deadline_bob')]
    const pids = new Set<number>()
    for (let round = 0; round < 3; round++) {
      const slow = { text: 'SELECT pg_sleep(0.3), pg_backend_pid() AS pid', query_timeout: 5_000 }
      pids.add((await alice.query(slow)).rows[0].pid)
      for (let at = 0; at < 3; at++)
        expect((await bob.query('SELECT body FROM notes')).rows).toEqual([{ body: 'of deadline_bob' }])
    }
    // The connection has survived all of it.
    expect(pids.size).toBe(1)
  })

  it('ends with its statement and interrupts no later one', async () => {
    const provider = withDeadline(500)
    const client = await open(provider, 'deadline_later')
    await client.query('SELECT 1')
    await client.query('SELECT pg_sleep(0.3)')
    // This batch runs at the time of the earlier deadlines.
    await provider.batch(client, [{ sql: 'SELECT pg_sleep(0.4)' }])
  })
})

describe('connections that are cut', () => {
  it.each(ISOLATIONS)(
    '%s: a query that is cut at any byte of its answer fails with a code, and the next query works',
    async (isolation) => {
      const provider = through(isolation, 2_000)
      const client = await open(provider, `${isolation}_cut`)
      for (let bytes = 0; bytes < 400; bytes += 23) {
        proxy.cutAfter = bytes
        const outcome = await client.query('SELECT body FROM notes').then(
          ({ rows }) => rows[0].body,
          (error) => provider.mapError(error).code,
        )
        proxy.cutAfter = Number.POSITIVE_INFINITY
        expect([`of ${isolation}_cut`, 'provider_unavailable'], `cut after ${bytes} bytes`).toContain(outcome)
        expect((await client.query('SELECT body FROM notes')).rows).toEqual([{ body: `of ${isolation}_cut` }])
      }
    },
  )
})

describe('round trips', () => {
  it.each([
    ['role', 'session', 1],
    ['set_role', 'session', 1],
    ['search_path', 'session', 1],
    ['set_role', 'transaction', 1],
    ['search_path', 'transaction', 1],
  ] as const)(
    '%s, pooler %s: a query takes %d, also when the tenant changes each time',
    async (isolation, pooler, trips) => {
      // biome-ignore format: a table
      const provider = createProvider(database, { isolation, pooler, serve: { host: proxy.host, port: proxy.port }, maxConnections: 4 })
      providers.push(provider)
      const clients = await Promise.all(['a', 'b'].map((end) => open(provider, `${isolation}_trips_${end}`)))
      const query = (at: number) => clients[at % 2]?.query('SELECT body FROM notes WHERE id = $1', [1])
      for (let at = 0; at < 10; at++) await query(at)
      const before = proxy.roundTrips
      for (let at = 0; at < 100; at++) await query(at)
      expect(proxy.roundTrips - before).toBe(100 * trips)
    },
  )

  it('a transaction of two statements takes four, and a batch of ten statements one', async () => {
    const provider = createProvider(database, {
      isolation: 'set_role',
      serve: { host: proxy.host, port: proxy.port },
      maxConnections: 4,
    })
    providers.push(provider)
    const client = await open(provider, 'trips_batch')
    const lease = await client.connect()
    const before = proxy.roundTrips
    for (const text of ['BEGIN', 'SELECT * FROM notes', 'SELECT * FROM notes', 'COMMIT'])
      await lease.query(text)
    expect(proxy.roundTrips - before).toBe(4)
    lease.release(true)
    await client.query('SELECT 1')
    const begun = proxy.roundTrips
    await provider.batch(
      client,
      Array.from({ length: 10 }, (_, at) => ({
        sql: 'INSERT INTO notes (body) VALUES ($1)',
        params: [String(at)],
      })),
    )
    expect(proxy.roundTrips - begun).toBe(1)
  })

  it.each(['set_role', 'search_path'] as const)(
    '%s: a query of Kysely takes one, a transaction of two statements four, and the reset of each lease one more',
    async (isolation) => {
      const provider = createProvider(database, {
        isolation,
        serve: { host: proxy.host, port: proxy.port },
        // The next lease waits for the reset.
        maxConnections: 1,
      })
      providers.push(provider)
      const pool = await open(provider, `${isolation}_trips_kysely`)
      const db = provider.kysely(pool)
      const read = (on: Kysely<any>) => on.selectFrom('notes').selectAll().execute()
      await pool.query('SELECT 1')
      const before = proxy.roundTrips
      await read(db)
      await db.transaction().execute(async (trx) => {
        await read(trx)
        await read(trx)
      })
      await pool.query('SELECT 1')
      expect(proxy.roundTrips - before).toBe(1 + 1 + 4 + 1 + 1)
    },
  )

  it('role: one statement takes one, with values or without', async () => {
    const provider = createProvider(database, {
      isolation: 'role',
      serve: { host: proxy.host, port: proxy.port },
    })
    providers.push(provider)
    const client = await open(provider, 'trips_plain')
    await client.query('SELECT 1')
    const before = proxy.roundTrips
    await client.query('SELECT * FROM notes;')
    await client.query('SELECT * FROM notes WHERE id = $1', [1])
    expect(proxy.roundTrips - before).toBe(2)
    await client.query('SELECT 1; SELECT 2')
  })
})

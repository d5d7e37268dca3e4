import { spawnSync } from 'node:child_process'
import { defineFactory } from '@tenantry/multi-tenancy/provider'
import { createPostgresSchemaFactory } from '@tenantry/postgres-schema'
import pg from 'pg'
import { type BenchDatabase, createBenchDatabase } from './postgres-database.ts'
import { READ, switching } from './postgres-switching.ts'
import { createZipf, openTenants } from './postgres-tenants.ts'
import { byTurns, ratio, report } from './ratio.ts'

/** Everything of `@tenantry/postgres-schema`; says so when there is no server. */
export async function postgres(): Promise<void> {
  const database = await createBenchDatabase()
  if (database === undefined) {
    console.log('PostgreSQL: skipped, no server (TENANTRY_POSTGRES_URL, or 127.0.0.1:5432)')
    return
  }
  try {
    await switching(database)
    await fleet(database)
    await provisioning(database)
    await neighbour(database)
  } finally {
    await database.drop()
  }
}

/** Queries a second of 1,000 tenants on 20 connections. */
async function fleet(database: BenchDatabase): Promise<void> {
  const connections = { maxConnections: 20, maxConnectionsPerTenant: 20 }
  const tenants = {
    set_role: await openTenants(database, 1_000, { isolation: 'set_role', ...connections }),
    search_path: await openTenants(database, 1_000, { isolation: 'search_path', ...connections }),
  }
  const raw = new pg.Pool({
    connectionString: database.url,
    options: '-c search_path=set_role_bench_0',
    max: 20,
  })
  const zipf = createZipf(1_000)
  const pools = createPools(database.url, 20)
  const qualified = (at: number) => `SELECT body FROM set_role_bench_${at}.notes WHERE id = $1`
  // A server process learns a table when it first meets it, once in its life: afterwards the tenancy alone is measured.
  for (let at = 0; at < 1_000; at++) {
    await onAll(raw, 20, qualified(at))
    for (const { clients } of Object.values(tenants)) await onAll(clients[at], 20, READ)
  }
  const rates = await byTurns(
    {
      'a pool for each tenant': () => rate(1_000, 20, () => pools.query(zipf())),
      raw: () => rate(4_000, 40, () => raw.query(READ, [7])),
      // The same pool over the same 1,000 tables, without any tenancy: what a server pays for so many of them.
      'raw, 1,000 schemas': () => rate(4_000, 40, () => raw.query(qualified(zipf()), [7])),
      set_role: () => rate(4_000, 40, async () => tenants.set_role.clients[zipf()]?.query(READ, [7])),
      search_path: () => rate(4_000, 40, async () => tenants.search_path.clients[zipf()]?.query(READ, [7])),
    },
    7,
  )
  for (const name of ['set_role', 'search_path']) {
    const detail = `${Math.round(rates[name] ?? 0)} against ${Math.round(rates.raw ?? 0)} queries/s`
    report(`1,000 tenants (Zipf) on 20 connections: ${name}`, ratio(rates, name, 'raw'), '≥ 0.85', detail)
  }
  for (const rival of ['raw, 1,000 schemas', 'a pool for each tenant']) {
    for (const name of ['set_role', 'search_path']) {
      const detail = `${Math.round(rates[name] ?? 0)} against ${Math.round(rates[rival] ?? 0)} queries/s`
      report(`1,000 tenants (Zipf), against ${rival}: ${name}`, ratio(rates, name, rival), 'reported', detail)
    }
  }
  await Promise.all([pools.end(), ...Object.values(tenants).map(({ close }) => close())])
  const roles = await openTenants(database, 200, { isolation: 'role', ...connections })
  let logins = 0
  const few = createZipf(200)
  const before = await connectionsSoFar(database)
  const own = await rate(1_500, 40, async () => roles.clients[few()]?.query(READ, [7]))
  logins = (await connectionsSoFar(database)) - before
  const detail = `${Math.round(own)} queries/s; ${Math.round((logins / 1_500) * 100)} % of them logged in again (200 tenants)`
  report('tenants (Zipf) on 20 connections: role', own / (rates.raw ?? 1), 'reported', detail)
  await Promise.all([roles.close(), raw.end()])
}

/** Runs the query once on each of the pool's connections. */
async function onAll(pool: pg.Pool | undefined, connections: number, text: string): Promise<void> {
  const clients = await Promise.all(Array.from({ length: connections }, () => pool?.connect()))
  await Promise.all(clients.map((client) => client?.query(text, [7])))
  for (const client of clients) client?.release()
}

/** What one writes by hand: a `pg.Pool` for each tenant, of those not in use the least recently used ended above so many. */
function createPools(url: string, max: number) {
  const pools = new Map<number, { pool: pg.Pool; busy: number }>()
  const ending = new Set<Promise<void>>()
  return {
    async query(at: number): Promise<unknown> {
      const options = `-c search_path=set_role_bench_${at}`
      const own = pools.get(at) ?? { pool: new pg.Pool({ connectionString: url, options, max: 1 }), busy: 0 }
      pools.delete(at)
      pools.set(at, own)
      own.busy++
      for (const [oldest, { pool, busy }] of pools) {
        if (pools.size <= max) break
        // A pool that ends with a query in its queue never answers that query.
        if (busy > 0) continue
        pools.delete(oldest)
        const ended = pool.end().finally(() => ending.delete(ended))
        ending.add(ended)
      }
      return own.pool.query(READ, [7]).finally(() => own.busy--)
    },
    async end() {
      await Promise.all([...ending, ...[...pools.values()].map(({ pool }) => pool.end())])
    },
  }
}

async function connectionsSoFar({ admin }: BenchDatabase): Promise<number> {
  await admin.query('SELECT pg_stat_clear_snapshot()')
  const { rows } = await admin.query(
    'SELECT sessions FROM pg_stat_database WHERE datname = current_database()',
  )
  return Number(rows[0].sessions)
}

async function rate(count: number, workers: number, query: () => Promise<unknown>): Promise<number> {
  let left = count
  const began = performance.now()
  const work = async (): Promise<void> => {
    while (left-- > 0) await query()
  }
  await Promise.all(Array.from({ length: workers }, work))
  return count / ((performance.now() - began) / 1_000)
}

/** Milliseconds to make a tenant of 10 tables in 30 migrations, against the same SQL in one `psql` transaction. */
async function provisioning(database: BenchDatabase): Promise<void> {
  const migrations = Object.fromEntries(
    Array.from({ length: 30 }, (_, at) => [`${String(at).padStart(3, '0')}_step`, migration(at)]),
  )
  const factories = (['role', 'set_role', 'search_path'] as const).map((isolation) => ({
    isolation: isolation as string,
    factory: createPostgresSchemaFactory({ ...database.options({ isolation }), migrations, databasePrefix: `${isolation}_p_` }),
  })) // biome-ignore format: one object
  const apart = database.provider({ isolation: 'set_role' })
  factories.push({
    isolation: 'set_role, step by step',
    factory: defineFactory(
      // `created: false` sends the factory through the steps for an existing database: it reads, stamps and then migrates.
      { ...apart, create: async (name, call) => ({ ...(await apart.create(name, call)), created: false }) },
      { migrations, databasePrefix: 'apart_p_' },
    ),
  })
  let at = 0
  const psql = async (): Promise<number> => {
    const name = `psql_${at++}`
    const sql = [`CREATE SCHEMA ${name}`, `SET search_path TO ${name}`, ...Object.values(migrations)].join(
      ';\n',
    )
    const began = performance.now()
    const { status } = spawnSync('psql', ['-1', '-q', '-v', 'ON_ERROR_STOP=1', database.url], { input: sql })
    if (status !== 0) throw new Error('psql failed')
    return performance.now() - began
  }
  const rivals: Record<string, () => Promise<number>> = { psql }
  for (const { isolation, factory } of factories) {
    rivals[isolation] = async () => {
      const began = performance.now()
      await factory.provision(`t${at++}`)
      return performance.now() - began
    }
  }
  if (spawnSync('psql', ['--version']).status !== 0) delete rivals.psql
  const times = await byTurns(rivals, 15)
  for (const { isolation } of factories) {
    const detail = `${times[isolation]?.toFixed(1)} ms, psql ${times.psql?.toFixed(1) ?? 'not installed'} ms`
    report(
      `provision, 10 tables in 30 migrations: ${isolation}`,
      ratio(times, isolation, 'psql'),
      '≤ 1.5',
      detail,
    )
  }
  const detail = `${times.set_role?.toFixed(1)} ms, step by step ${times['set_role, step by step']?.toFixed(1)} ms`
  report(
    'provision: one batch against step by step',
    ratio(times, 'set_role', 'set_role, step by step'),
    '< 1',
    detail,
  )
  await Promise.all(factories.map(({ factory }) => factory.close()))
}

function migration(at: number): string {
  const table = `t_${at % 10}`
  if (at < 10)
    return `CREATE TABLE ${table} (id serial PRIMARY KEY, name text NOT NULL, at timestamptz DEFAULT now())`
  return at < 20 ? `CREATE INDEX ON ${table} (name)` : `ALTER TABLE ${table} ADD COLUMN more int DEFAULT 0`
}

/** The 99th percentile of one tenant's queries while another has all it may have running. */
async function neighbour(database: BenchDatabase): Promise<void> {
  const { clients, close } = await openTenants(database, 10, {
    isolation: 'set_role',
    maxConnections: 10,
    maxConnectionsPerTenant: 3,
  })
  const [noisy, quiet] = clients
  const p99 = async (): Promise<number> => {
    const times: number[] = []
    for (let at = 0; at < 1_000; at++) {
      const began = performance.now()
      await quiet?.query(READ, [7])
      times.push(performance.now() - began)
    }
    return times.sort((a, b) => a - b)[989] ?? 0
  }
  const saturated = async (): Promise<number> => {
    let stop = false
    // The load waits in the server, as for locks: this measures the share of connections, not of processors.
    const load = Array.from({ length: 60 }, async () => {
      while (!stop) await noisy?.query('SELECT pg_sleep(0.02)').catch(() => {})
    })
    const time = await p99()
    stop = true
    await Promise.all(load)
    return time
  }
  await p99()
  const times = await byTurns({ alone: p99, saturated }, 7)
  const detail = `${times.saturated?.toFixed(2)} ms, alone ${times.alone?.toFixed(2)} ms`
  report('p99 beside a tenant that saturates its share', ratio(times, 'saturated', 'alone'), '≤ 1.5', detail)
  await close()
}

import { spawnSync } from 'node:child_process'
import { createMysqlFactory, createMysqlProvider, type MysqlProviderOptions } from '@tenantry/mysql'
import { createConnection, createPool, type Pool } from 'mysql2/promise'
import { createZipf } from './postgres-tenants.ts'
import { byTurns, ratio, report, us } from './ratio.ts'

const READ = 'SELECT body FROM notes WHERE id = ?'
const SECRET = 'a secret of the benchmark, which is not secret at all'
const call = { signal: new AbortController().signal }

/** A server, and databases of the benchmark's own on it. */
interface Bench {
  readonly url: string
  readonly root: Pool
  options(more?: Partial<MysqlProviderOptions>): MysqlProviderOptions
}

/** Everything of `@tenantry/mysql`; says so when there is no server. */
export async function mysql(): Promise<void> {
  const url = process.env.TENANTRY_MYSQL_URL ?? 'mysql://root@127.0.0.1:3306'
  const root = createPool({ uri: url, connectionLimit: 2 })
  const registry = `tenantry_bench_${process.pid}`
  try {
    await root.query('SELECT 1')
  } catch {
    console.log('MySQL: skipped, no server (TENANTRY_MYSQL_URL, or 127.0.0.1:3306)')
    return
  }
  const bench: Bench = {
    url,
    root,
    options: (more) => ({ connection: url, secret: SECRET, registry, ...more }),
  }
  try {
    await switching(bench)
    await fleet(bench)
    await provisioning(bench)
  } finally {
    await sweep(bench)
    await root.query(`DROP DATABASE IF EXISTS ${registry}`)
    await root.end()
  }
}

/** The clients of so many tenants, each with a table of notes. */
async function openTenants(bench: Bench, count: number, more: Partial<MysqlProviderOptions>) {
  const provider = createMysqlProvider(bench.options(more))
  const clients: Pool[] = []
  for (let at = 0; at < count; at++) {
    const { locator, created } = await provider.create(`bench_${at}`, call)
    const client = await provider.connect(
      { locator, purpose: 'manage', verify: async (query) => void (await query({ sql: 'SELECT 1' })) },
      call,
    )
    if (created) {
      await client.query('CREATE TABLE notes (id INT PRIMARY KEY, body VARCHAR(100))')
      await client.query("INSERT INTO notes VALUES (7, 'seven')")
    }
    clients.push(client)
  }
  return { clients, close: () => provider.close() }
}

async function sweep(bench: Bench): Promise<void> {
  const provider = createMysqlProvider(bench.options())
  for (let left = true; left; ) {
    const { databases } = await provider.list({ prefix: 'bench_' }, call)
    await inParallel(databases, ({ locator }) => provider.drop(locator, call))
    left = databases.length > 0
  }
  await provider.close()
}

/** Microseconds of one query, one after the other: the tenant changing with each, on one connection and on ten. */
async function switching(bench: Bench): Promise<void> {
  const one = await openTenants(bench, 10, { maxConnections: 1 })
  const ten = await openTenants(bench, 10, { maxConnections: 40 })
  const raw = createPool({ uri: bench.url, database: 'bench_0', connectionLimit: 1 })
  const naive = await createConnection(bench.url)
  const { username, password } = new URL(bench.url)
  const rivals: Record<string, (at: number) => Promise<unknown>> = {
    'a raw pool pinned to one database': () => raw.query(READ, [7]),
    'changeUser before each query': async (at) => {
      await naive.changeUser({
        user: decodeURIComponent(username),
        password: decodeURIComponent(password),
        database: `bench_${at % 10}`,
      })
      return naive.query(READ, [7])
    },
    'one connection': async (at) => one.clients[at % 10]?.query(READ, [7]),
    'a connection each': async (at) => ten.clients[at % 10]?.query(READ, [7]),
  }
  const times = await byTurns(
    Object.fromEntries(Object.entries(rivals).map(([name, query]) => [name, () => timePerQuery(query, 400)])),
    11,
  )
  const [pinned = '', each = ''] = Object.keys(rivals)
  report(
    'MySQL query, switching tenants: changeUser before each',
    ratio(times, each, pinned),
    'naive',
    us(times, each, pinned),
  )
  for (const name of ['one connection', 'a connection each']) {
    report(
      `MySQL query, switching tenants: ${name}, against raw`,
      ratio(times, name, pinned),
      'reported',
      us(times, name, pinned),
    )
    report(
      `MySQL query, switching tenants: ${name}, against changeUser`,
      ratio(times, name, each),
      'reported',
      us(times, name, each),
    )
  }
  await Promise.all([raw.end(), naive.end(), one.close(), ten.close()])
}

async function timePerQuery(query: (at: number) => Promise<unknown>, count: number): Promise<number> {
  const began = performance.now()
  for (let at = 0; at < count; at++) await query(at)
  return ((performance.now() - began) * 1_000) / count
}

/** Queries a second of 100 tenants on 20 connections, and of one tenant. */
async function fleet(bench: Bench): Promise<void> {
  const limits = { maxConnections: 20, maxConnectionsPerTenant: 20 }
  const always = await openTenants(bench, 100, limits)
  const needed = await openTenants(bench, 100, { ...limits, cleaning: 'needed' })
  const raw = createPool({ uri: bench.url, database: 'bench_0', connectionLimit: 20 })
  // Drawn beforehand, and by the raw pool too: to draw one takes as long as some of the work that is compared.
  const draw = createZipf(100)
  const drawn = Array.from({ length: 3_000 }, draw)
  const rates = await byTurns(
    {
      raw: () => rate(drawn, 40, async () => raw.query(READ, [7])),
      'tenants (Zipf), cleaning always': () =>
        rate(drawn, 40, async (tenant) => always.clients[tenant]?.query(READ, [7])),
      'tenants (Zipf), cleaning needed': () =>
        rate(drawn, 40, async (tenant) => needed.clients[tenant]?.query(READ, [7])),
      'one tenant, cleaning always': () => rate(drawn, 40, async () => always.clients[0]?.query(READ, [7])),
      'one tenant, cleaning needed': () => rate(drawn, 40, async () => needed.clients[0]?.query(READ, [7])),
    },
    5,
  )
  for (const name of Object.keys(rates).slice(1)) {
    const detail = `${Math.round(rates[name] ?? 0)} against ${Math.round(rates.raw ?? 0)} queries/s`
    report(`MySQL, 20 connections: ${name}`, ratio(rates, name, 'raw'), 'reported', detail)
  }
  await Promise.all([always.close(), needed.close(), raw.end()])
}

async function rate(
  tenants: readonly number[],
  workers: number,
  query: (tenant: number) => Promise<unknown>,
): Promise<number> {
  let at = 0
  const began = performance.now()
  const work = async (): Promise<void> => {
    for (let tenant = tenants[at++]; tenant !== undefined; tenant = tenants[at++]) await query(tenant)
  }
  await Promise.all(Array.from({ length: workers }, work))
  return tenants.length / ((performance.now() - began) / 1_000)
}

/** Milliseconds to make a tenant of 10 tables in 30 migrations, against `mysql`'s client. */
async function provisioning(bench: Bench): Promise<void> {
  const migrations = Object.fromEntries(
    Array.from({ length: 30 }, (_, at) => [`${String(at).padStart(3, '0')}_step`, migration(at)]),
  )
  const factory = createMysqlFactory({ ...bench.options(), migrations, databasePrefix: 'bench_p_' })
  let at = 0
  const rivals: Record<string, () => Promise<number>> = {
    async provision() {
      const began = performance.now()
      await factory.provision(`t${at++}`)
      return performance.now() - began
    },
  }
  if (spawnSync('mysql', ['--version']).status === 0)
    rivals['mysql client'] = async () => viaClient(bench, migrations, at++)
  const times = await byTurns(rivals, 5)
  const detail = `${times.provision?.toFixed(0)} ms, mysql client ${times['mysql client']?.toFixed(0) ?? 'not installed'} ms`
  report(
    'MySQL provision, 10 tables in 30 migrations',
    ratio(times, 'provision', 'mysql client'),
    'reported',
    detail,
  )
  await factory.close()

  await migrating(bench)
}

/** Milliseconds to migrate 50 tenants by one change, by a factory that knows none of them yet, against the bare loop. */
async function migrating(bench: Bench): Promise<void> {
  const changes: Record<string, string> = { '000': migration(0) }
  const createFactory = () =>
    createMysqlFactory({ ...bench.options(), migrations: { ...changes }, databasePrefix: 'bench_f_' })
  const ids = Array.from({ length: 50 }, (_, index) => `f${index}`)
  const first = createFactory()
  await inParallel(ids, (id) => first.provision(id))
  await first.close()
  let at = 0
  const times = await byTurns(
    {
      async ours() {
        at++
        changes[String(at).padStart(3, '0')] = `ALTER TABLE t_0 ADD COLUMN ours_${at} INT DEFAULT 0`
        const factory = createFactory()
        const began = performance.now()
        await inParallel(ids, async (id) => void (await factory.migrate(id)))
        const took = performance.now() - began
        await factory.close()
        return took
      },
      async loop() {
        const raw = createPool({ uri: bench.url, connectionLimit: 4 })
        const began = performance.now()
        await inParallel(
          ids,
          async (id) =>
            void (await raw.query(`ALTER TABLE \`bench_f_${id}\`.t_0 ADD COLUMN theirs_${at} INT DEFAULT 0`)),
        )
        const took = performance.now() - began
        await raw.end()
        return took
      },
    },
    5,
  )
  report(
    'MySQL fleet migration, 50 tenants, one change',
    ratio(times, 'ours', 'loop'),
    'reported',
    `${times.ours?.toFixed(0)} ms, raw loop ${times.loop?.toFixed(0)} ms`,
  )
}

/** The same SQL in one session of the server's own client. */
async function viaClient(
  { url, root }: Bench,
  migrations: Record<string, string>,
  at: number,
): Promise<number> {
  const name = `bench_raw_${at}`
  const { hostname, port, username, password } = new URL(url)
  const input = [`CREATE DATABASE ${name}`, `USE ${name}`, ...Object.values(migrations)].join(';\n')
  const began = performance.now()
  const login = [`-h${hostname}`, `-P${port || 3306}`, `-u${decodeURIComponent(username)}`]
  const { status } = spawnSync('mysql', login, {
    input,
    env: { ...process.env, MYSQL_PWD: decodeURIComponent(password) },
  })
  const took = performance.now() - began
  if (status !== 0) throw new Error('mysql failed')
  await root.query(`DROP DATABASE ${name}`)
  return took
}

async function inParallel<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const rest = [...items]
  const worker = async (): Promise<void> => {
    for (let item = rest.pop(); item !== undefined; item = rest.pop()) await work(item)
  }
  await Promise.all(Array.from({ length: 4 }, worker))
}

function migration(at: number): string {
  const table = `t_${at % 10}`
  if (at < 10)
    return `CREATE TABLE ${table} (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100) NOT NULL, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)`
  return at < 20
    ? `CREATE INDEX by_name ON ${table} (name)`
    : `ALTER TABLE ${table} ADD COLUMN more INT DEFAULT 0`
}

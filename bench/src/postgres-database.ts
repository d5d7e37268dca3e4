import { createPostgresSchemaProvider, type PostgresSchemaProviderOptions } from '@tenantry/postgres-schema'
import pg from 'pg'

const SERVER = process.env.TENANTRY_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres'

/** A database of the benchmark's own. */
export interface BenchDatabase {
  readonly url: string
  /** The database seen without any tenancy. */
  readonly admin: pg.Client
  provider(options: Partial<PostgresSchemaProviderOptions>): ReturnType<typeof createPostgresSchemaProvider>
  options(options: Partial<PostgresSchemaProviderOptions>): PostgresSchemaProviderOptions
  drop(): Promise<void>
}

/** `undefined` where no server answers. */
export async function createBenchDatabase(): Promise<BenchDatabase | undefined> {
  const server = await connected(SERVER).catch(() => undefined)
  if (server === undefined) return undefined
  const name = `tenantry_bench_${process.pid}`
  await server.query(`CREATE DATABASE ${name}`)
  const url = new URL(SERVER)
  url.pathname = `/${name}`
  const admin = await connected(url.href)
  const { oid } = (await admin.query('SELECT oid FROM pg_database WHERE datname = current_database()'))
    .rows[0]
  const own = (options: Partial<PostgresSchemaProviderOptions>): PostgresSchemaProviderOptions => ({
    connection: url.href,
    secret: 'a secret for benchmarks, of 32 characters or more',
    ...options,
  })
  return {
    url: url.href,
    admin,
    options: own,
    provider: (options) => createPostgresSchemaProvider(own(options)),
    async drop() {
      await admin.end()
      const { rows } = await server.query(
        "SELECT rolname FROM pg_roles r LEFT JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass " +
          `WHERE rolname = 'tenantry_${oid}' OR d.description LIKE 'tenantry ${oid} %'`,
      )
      await server.query(`DROP DATABASE ${name} WITH (FORCE)`)
      for (const { rolname } of rows) await server.query(`DROP ROLE "${rolname}"`)
      await server.end()
    },
  }
}

async function connected(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => {})
  await client.connect()
  return client
}

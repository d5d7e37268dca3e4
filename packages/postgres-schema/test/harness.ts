import type { Harness } from '@tenantry/conformance'
import type { Pool } from 'pg'
import { createPostgresSchemaProvider, type PostgresSchemaProviderOptions } from '../src/index.ts'
import type { TestDatabase } from './database.ts'
import { hostileSql } from './hostile-sql.ts'

const MAX_CONNECTIONS = 12

/** Schemas in one database. The oracle reads them over the administrator's own connection. */
export function createHarness(
  database: TestDatabase,
  options: Partial<PostgresSchemaProviderOptions>,
): Harness<Pool> {
  const { url, secret, sql } = database
  const providerOptions = {
    connection: url,
    secret,
    maxConnections: MAX_CONNECTIONS,
    // The kit runs dozens of providers concurrently: together they must not use all connections of the server.
    idleTimeout: 200,
    drainTimeout: 3_000,
    ...options,
  }
  const createProvider = () => createPostgresSchemaProvider(providerOptions)
  const queryInside = (name: string, text: string) => sql(`SET search_path TO "${name}"; ${text}`)
  return {
    provider: createProvider(),
    createProvider,
    connectionLimit: 3 * MAX_CONNECTIONS,
    async countConnections(name) {
      const id = name === undefined ? '' : await readSchemaId(name)
      const [row] = await sql(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name <> 'the test' " +
          (name === undefined ? '' : `AND usename IN ('tenantry_${id}', 'tenantry_${id}_owner')`),
      )
      return row?.n
    },
    hostileSql,
    secrets: [secret],
    ...(options.isolation === 'search_path'
      ? { withoutSqlIsolation: 'all tenants share one role (search_path)' }
      : {}),
    oracle: {
      async listDatabases(prefix) {
        const rows = await sql('SELECT nspname::text AS name FROM pg_namespace')
        return rows.map(({ name }) => name).filter((name) => name.startsWith(prefix))
      },
      query: queryInside,
      async execute(name, text) {
        await queryInside(name, text)
      },
    },
    async cleanup() {},
  }

  async function readSchemaId(name: string): Promise<string> {
    const [row] = await sql(
      "SELECT obj_description(oid, 'pg_namespace') AS mark FROM pg_namespace WHERE nspname = $1",
      [name],
    )
    return String(row?.mark).slice('tenantry:'.length)
  }
}

import { type Dialect, PostgresDialect } from 'kysely'
import type { Pool } from 'pg'

/** Kysely's dialect over a tenant's client: `new Kysely<Tables>({ dialect: postgresKysely(client) })`. */
export function postgresKysely(client: Pool): Dialect {
  return new PostgresDialect({ pool: client })
}

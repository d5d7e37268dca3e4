import { type Dialect, MysqlDialect } from 'kysely'
import type { Pool } from 'mysql2/promise'

/** Kysely's dialect over a tenant's client: `new Kysely<Tables>({ dialect: mysqlKysely(client) })`. */
export function mysqlKysely(client: Pool): Dialect {
  return new MysqlDialect({ pool: client.pool })
}

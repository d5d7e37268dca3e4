import type { Dialect, SqlValue, Statement } from '../types/provider.ts'

/** One of the core's own statements, written with `?`, in the placeholders of `dialect`. */
export function statement(dialect: Dialect, sql: string, ...params: SqlValue[]): Statement {
  if (dialect !== 'postgres') return { sql, params }
  let index = 0
  return { sql: sql.replace(/\?/g, () => `$${++index}`), params }
}

/** The column type for short text that is compared byte by byte (ids, names, states). */
export const TEXT_KEY: Readonly<Record<Dialect, string>> = {
  sqlite: 'TEXT',
  postgres: 'VARCHAR(255) COLLATE "C"',
  mysql: 'VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin',
}

/** Seconds since 1970 by the database's own clock, which two processes that disagree about the time both ask. */
export const NOW: Readonly<Record<Dialect, string>> = {
  sqlite: 'unixepoch()',
  postgres: 'extract(epoch FROM now())',
  // Without a time of day, as NOW() would be one: that does not know summer from winter.
  mysql: 'UNIX_TIMESTAMP()',
}

/** One row per migration that was begun, in the tenant's own database. */
export const MIGRATIONS_TABLE = 'tenantry_migrations'
/** One row: who is migrating, until when by the database's clock. */
export const LOCK_TABLE = 'tenantry_lock'

/** Name of the table, in the tenant's own database. */
export const IDENTITY_TABLE = 'tenantry_identity'

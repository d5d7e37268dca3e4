import type { Capabilities, SqlValue, Statement } from './contract.ts'

export type Dialect = Capabilities['dialect']

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

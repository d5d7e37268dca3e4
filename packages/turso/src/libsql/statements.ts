import type { InArgs, InStatement } from '@libsql/client/web'

/** A statement whose text was read once: the text that was checked is the text that runs. */
export interface PlainStatement {
  readonly sql: string
  readonly args: InArgs
}

/** @throws TypeError when the SQL is not a string */
export function toPlainStatement(statement: InStatement | [string, InArgs?], args?: InArgs): PlainStatement {
  if (typeof statement === 'string') return withText(statement, args)
  if (Array.isArray(statement)) return withText(statement[0], statement[1])
  return withText(statement.sql, statement.args)
}

function withText(sql: unknown, args: InArgs = []): PlainStatement {
  if (typeof sql !== 'string') throw new TypeError('SQL must be a string')
  return { sql, args }
}

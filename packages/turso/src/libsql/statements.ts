import type { InArgs, InStatement } from '@libsql/client/web'

/** A statement with its text read once: what is checked is what runs, whatever an object's getters say later. */
export interface PlainStatement {
  readonly sql: string
  readonly args: InArgs
}

/** @throws TypeError for SQL that is not a string */
export function plainStatement(statement: InStatement | [string, InArgs?], args?: InArgs): PlainStatement {
  if (typeof statement === 'string') return plain(statement, args)
  if (Array.isArray(statement)) return plain(statement[0], statement[1])
  return plain(statement.sql, statement.args)
}

function plain(sql: unknown, args: InArgs = []): PlainStatement {
  if (typeof sql !== 'string') throw new TypeError('SQL must be a string')
  return { sql, args }
}

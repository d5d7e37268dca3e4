import { leadingKeyword } from '@tenantry/multi-tenancy'

/**
 * What a statement that was sent can leave on its connection: nothing on its own but what it runs might; something of
 * a session, an open transaction for one; another database, for which a session made anew in place is not enough.
 */
export type Trace = (typeof TRACES)[number]
const TRACES = ['none', 'plain', 'session', 'any'] as const

const PLAIN = /^(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|VALUES)$/
/** One of them, with nothing before it. */
const PLAINLY = /^(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|VALUES)\s/i

/** Transactions, and what changes a schema without leaving it. */
const SESSION =
  /^\s*(?:START\s+TRANSACTION\b|BEGIN(?:\s+WORK)?\s*;?\s*$|COMMIT\b|ROLLBACK\b|(?:RELEASE\s+)?SAVEPOINT\b|(?:CREATE|ALTER|DROP)\s+(?:TABLE|(?:UNIQUE\s+)?INDEX)\s)/i

/** Variables, functions that take named locks or set what the session answers, and `SELECT … INTO`. */
const LASTING =
  /@|:=|\b(?:into\s+(?:out|dump)file|get_lock|release_all_locks|setval|nextval|last_insert_id)\b/i

/**
 * `plain` when the statement itself leaves nothing behind: one read or write, without variables and locks. Triggers,
 * views and functions it runs are not seen here. In doubt: `any`.
 */
export function traceOf(sql: string): Trace {
  // Also inside quotes: what is quoted is not worth finding out. Comments may hold what only MySQL executes.
  if (sql.includes('/*') || LASTING.test(sql)) return 'any'
  if (PLAINLY.test(sql) || PLAIN.test(leadingKeyword(sql, 'mysql'))) return 'plain'
  return SESSION.test(sql) ? 'session' : 'any'
}

/** Of both together: nothing undoes `any`. */
export function worse(one: Trace, other: Trace): Trace {
  return TRACES.indexOf(one) < TRACES.indexOf(other) ? other : one
}

/** The name in backquotes. */
export function quote(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

/** The text in quotes, for statements that take no parameters; sessions of ours know backslash escapes. */
export function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

/** A database's name as GRANT reads it: there `_` and `%` are patterns unless escaped. */
export function grantPattern(name: string): string {
  return name.replace(/[\\_%]/g, '\\$&')
}

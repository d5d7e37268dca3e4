import { leadingKeyword } from '@tenantry/multi-tenancy/provider'

/**
 * How much session state the statements of a connection may have left, in rising order:
 *
 * - `none`: the session is as after its login.
 * - `plain`: the statements leave nothing themselves. A trigger or function that they run may.
 * - `session`: session state that `COM_RESET_CONNECTION` clears, such as an open transaction.
 * - `any`: also another current database, which `COM_RESET_CONNECTION` keeps.
 */
export type SessionTaint = (typeof LEVELS)[number]
const LEVELS = ['none', 'plain', 'session', 'any'] as const

const PLAIN = /^(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|VALUES)$/
/** The same keywords as the first characters of a statement. */
const STARTS_PLAIN = /^(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|VALUES)\s/i

/** Transactions, and DDL that cannot change the current database. */
const SESSION =
  /^\s*(?:START\s+TRANSACTION\b|BEGIN(?:\s+WORK)?\s*;?\s*$|COMMIT\b|ROLLBACK\b|(?:RELEASE\s+)?SAVEPOINT\b|(?:CREATE|ALTER|DROP)\s+(?:TABLE|(?:UNIQUE\s+)?INDEX)\s)/i

/** Variables, functions that take named locks or set what the session reports, and `SELECT … INTO`. */
const LASTING =
  /@|:=|\b(?:into\s+(?:out|dump)file|get_lock|release_all_locks|setval|nextval|last_insert_id)\b/i

/**
 * Classifies the text of a statement. Triggers, views and functions that the statement runs are not visible in it, and
 * any doubt is `any`.
 */
export function classifyTaint(sql: string): SessionTaint {
  // Quoted text is not recognized: the cost of a wrong `any` is a longer reset. MySQL executes some comments.
  if (sql.includes('/*') || LASTING.test(sql)) return 'any'
  if (STARTS_PLAIN.test(sql) || PLAIN.test(leadingKeyword(sql, 'mysql'))) return 'plain'
  return SESSION.test(sql) ? 'session' : 'any'
}

/** The higher level of the two. */
export function maxTaint(one: SessionTaint, other: SessionTaint): SessionTaint {
  return LEVELS.indexOf(one) < LEVELS.indexOf(other) ? other : one
}

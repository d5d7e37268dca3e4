import { literal } from './session-taint.ts'

const STRICT = ['STRICT_TRANS_TABLES', 'STRICT_ALL_TABLES']

/**
 * The `sql_mode` of our sessions: the server's, strict, with backslash escapes.
 *
 * Strict, because the core's fences are refused values (NULL where NOT NULL stands): without it the server writes an
 * empty text and warns. With backslash escapes, because the driver quotes values with them.
 *
 * @returns the mode, and the statement that sets it where the server's own differs
 */
export function sessionModeOf(server: string): { mode: string; statement: string | undefined } {
  const modes = server.split(',').filter((mode) => mode !== '')
  const wanted = modes.filter((mode) => mode !== 'NO_BACKSLASH_ESCAPES')
  if (!STRICT.some((mode) => modes.includes(mode))) wanted.push('STRICT_TRANS_TABLES')
  const mode = wanted.join(',')
  return { mode, statement: mode === modes.join(',') ? undefined : `SET SESSION sql_mode = ${literal(mode)}` }
}

/** Makes any session strict, and clears what would turn quoting into an injection; for the core's own statements. */
export const STRICT_SESSION =
  "SET SESSION sql_mode = CONCAT(REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', ''), ',STRICT_TRANS_TABLES')"

import { quoteText } from '../sql-text.ts'

const STRICT = ['STRICT_TRANS_TABLES', 'STRICT_ALL_TABLES']

/**
 * The `sql_mode` of our sessions: the mode of the server, strict, with backslash escapes.
 *
 * Strict, because the core relies on refused values (NULL where NOT NULL is declared), and without it the server writes
 * an empty text and warns. With backslash escapes, because the driver quotes values with them.
 *
 * @returns the mode, and the statement that sets it where the mode of the server differs
 */
export function requireStrictMode(serverMode: string): { mode: string; statement: string | undefined } {
  const modes = serverMode.split(',').filter((mode) => mode !== '')
  const wanted = modes.filter((mode) => mode !== 'NO_BACKSLASH_ESCAPES')
  if (!STRICT.some((mode) => modes.includes(mode))) wanted.push('STRICT_TRANS_TABLES')
  const mode = wanted.join(',')
  return {
    mode,
    statement: mode === modes.join(',') ? undefined : `SET SESSION sql_mode = ${quoteText(mode)}`,
  }
}

/** Sets the same in a session whose mode is unknown, before the core's own statements. */
export const STRICT_SESSION =
  "SET SESSION sql_mode = CONCAT(REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', ''), ',STRICT_TRANS_TABLES')"

import { leadingKeyword, leadingWords, TenancyError } from '@tenantry/multi-tenancy'

/** Statements that change the session they run in, by their first word. */
const FIRST: Readonly<Record<string, string>> = {
  DEALLOCATE: 'prepared statements',
  DISCARD: 'the session',
  LISTEN: 'LISTEN',
  LOAD: 'the session',
  PREPARE: 'prepared statements',
  UNLISTEN: 'LISTEN',
}

const LATER: readonly (readonly [RegExp, string])[] = [
  [/^\s*(?:SET|RESET)\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b)/i, 'settings of the session: use SET LOCAL'],
  [/^\s*CREATE\s+(?:(?:GLOBAL|LOCAL)\s+)?TEMP(?:ORARY)?\b/i, 'temporary tables'],
  [/^\s*DECLARE\b[^;]*\bWITH\s+HOLD\b/i, 'cursors WITH HOLD'],
  [/\bpg_(?:try_)?advisory_(?!xact|unlock)(?:lock|lock_shared)\s*\(/i, 'advisory locks of the session: use pg_advisory_xact_lock'],
  [/\bset_config\s*\([^()]*,[^()]*,\s*(?:false|'f(?:alse)?'|0::bool\w*)\s*\)/i, 'settings of the session: use set_config(…, true)'],
] // biome-ignore format: a table

/** Whether the statement opens a transaction. */
export function opensTransaction(text: string): boolean {
  // Reading tokens costs more than this, and hardly any statement has the word.
  if (!/\b(?:BEGIN|START)\b/i.test(text)) return false
  const first = leadingKeyword(text, 'postgres')
  return first === 'BEGIN' || (first === 'START' && /\bTRANSACTION\b/i.test(text))
}

/** Whether the statement ends one, and opens the next with `AND CHAIN`. */
export function endingOf(text: string): 'end' | 'chain' | undefined {
  if (!/\b(?:COMMIT|END|ROLLBACK|ABORT)\b/i.test(text)) return undefined
  const [first = '', ...words] = leadingWords(text, 5, 'postgres')
  if (!/^(?:COMMIT|END|ROLLBACK|ABORT)$/.test(first)) return undefined
  const [next, after] = /^(?:WORK|TRANSACTION)$/.test(words[0] ?? '') ? words.slice(1) : words
  if (next === 'TO') return undefined
  return next === 'AND' && after === 'CHAIN' ? 'chain' : 'end'
}

/** Whether the statement only says how the transaction shall be: it must come before any query. */
export function shapesTransaction(text: string): boolean {
  return leadingKeyword(text, 'postgres') === 'SET'
}

/**
 * Behind a transaction pooler the session is anybody's: what would outlive the transaction is refused, so that it is
 * noticed in development. (What a function does is undone after each statement instead.)
 *
 * @throws `not_supported`
 */
export function refuseSessionState(text: string): void {
  const bare = text.replace(/--[^\n\r]*|\/\*[\s\S]*?\*\//g, ' ')
  const what = FIRST[leadingKeyword(text, 'postgres')] ?? LATER.find(([pattern]) => pattern.test(bare))?.[1]
  if (what !== undefined) {
    throw new TenancyError('not_supported', `pooler: 'transaction' has no session for ${what}`)
  }
}

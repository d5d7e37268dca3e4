import { leadingKeyword, leadingWords, TenancyError } from '@tenantry/multi-tenancy/provider'

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

/** How a statement ends a transaction. */
export interface TransactionEnd {
  /** The statement without comments and without anything behind it. */
  readonly text: string
  /** `AND CHAIN`: the next transaction opens with it. */
  readonly chain: boolean
}

/** How the statement ends a transaction; `undefined` when it does not. */
export function endOfTransaction(text: string): TransactionEnd | undefined {
  if (!/\b(?:COMMIT|END|ROLLBACK|ABORT)\b/i.test(text)) return undefined
  const [first = '', ...words] = leadingWords(text, 5, 'postgres')
  if (!/^(?:COMMIT|END|ROLLBACK|ABORT)$/.test(first)) return undefined
  const [next, after] = /^(?:WORK|TRANSACTION)$/.test(words[0] ?? '') ? words.slice(1) : words
  // Of a prepared transaction: the server refuses it inside a block.
  if (next === 'TO' || next === 'PREPARED') return undefined
  const chain = next === 'AND' && after === 'CHAIN'
  const verb = first === 'ROLLBACK' || first === 'ABORT' ? 'ROLLBACK' : 'COMMIT'
  return { text: chain ? `${verb} AND CHAIN` : verb, chain }
}

/** Whether the statement ends a transaction. */
export function endsTransaction(text: string): boolean {
  const [first, second] = leadingWords(text, 2, 'postgres')
  return endOfTransaction(text) !== undefined || (first === 'PREPARE' && second === 'TRANSACTION')
}

const PLAIN = new Set([
  'DELETE',
  'EXPLAIN',
  'INSERT',
  'MERGE',
  'SELECT',
  'SHOW',
  'TABLE',
  'UPDATE',
  'VALUES',
  'WITH',
])

/** Whether the statement does the same inside a transaction block as outside. */
export function isPlainQuery(text: string): boolean {
  return PLAIN.has(leadingKeyword(text, 'postgres'))
}

/**
 * The driver has no data to send for it, and behind it in a pipeline the server takes the next statement for data.
 *
 * @throws `not_supported`
 */
export function assertNoCopyFromStdin(text: string): void {
  if (!/\bSTDIN\b/i.test(text) || leadingKeyword(text, 'postgres') !== 'COPY') return
  if (/\bFROM\s+STDIN\b/i.test(withoutComments(text)))
    throw new TenancyError('not_supported', 'COPY FROM STDIN needs a stream')
}

/** Whether the statement only says how the transaction shall be: it must come before any query. */
export function shapesTransaction(text: string): boolean {
  return leadingKeyword(text, 'postgres') === 'SET'
}

/**
 * Behind a transaction pooler the session is shared by all clients: what would outlive the transaction is refused, so that it is
 * noticed in development. (What a function does is undone after each statement instead.)
 *
 * @throws `not_supported`
 */
export function assertNoSessionState(text: string): void {
  const bare = withoutComments(text)
  const what = FIRST[leadingKeyword(text, 'postgres')] ?? LATER.find(([pattern]) => pattern.test(bare))?.[1]
  if (what !== undefined) {
    throw new TenancyError('not_supported', `pooler: 'transaction' has no session for ${what}`)
  }
}

function withoutComments(text: string): string {
  return text.replace(/--[^\n\r]*|\/\*[\s\S]*?\*\//g, ' ')
}

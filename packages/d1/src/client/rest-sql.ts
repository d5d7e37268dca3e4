/** A token of SQL text. Quoted text and comments are `text`. */
export interface Token {
  readonly kind: 'text' | 'placeholder' | 'word' | 'newline'
  readonly value: string
}

/**
 * SQLite's tokens: comments, quoted text (a doubled quote counts as two, which is equivalent here), placeholders,
 * words and line ends. No alternative backtracks, so the time is linear.
 */
const TOKENS =
  /(--[^\n]*|\/\*.*?(?:\*\/|$)|(['"`]).*?(?:\2|$)|\[[^\]]*\]?)|(\?\d*|[:@$][\w$\x80-\ufefe]+)|([a-z_\x80-\ufefe][\w$\x80-\ufefe]*|\d[\w.]*)|(\r\n)|./gis

/** Splits a text into tokens; joined, they are the text again. */
export function tokenize(sql: string): Token[] {
  return Array.from(sql.matchAll(TOKENS), ([value, quoted, , placeholder, word, newline]): Token => {
    if (quoted !== undefined) return { kind: 'text', value }
    if (placeholder !== undefined) return { kind: 'placeholder', value }
    if (word !== undefined) return { kind: 'word', value }
    return { kind: newline === undefined ? 'text' : 'newline', value }
  })
}

/**
 * Rewrites a statement for the REST API, which splits SQL into statements: its splitter recognizes the `BEGIN … END` of
 * a trigger in upper case only, and fails at CRLF. Quoted text stays unchanged.
 *
 * @see https://github.com/cloudflare/workers-sdk/issues/14991
 * @see https://github.com/cloudflare/workers-sdk/issues/15314
 */
export function toRestSql(sql: string): string {
  if (!sql.includes('\r\n') && !/\btrigger\b/i.test(sql)) return sql
  const tokens = tokenize(sql)
  const isTrigger = tokens.some(({ kind, value }) => kind === 'word' && /^trigger$/i.test(value))
  return tokens
    .map(({ kind, value }) => {
      if (kind === 'newline') return '\n'
      return isTrigger && kind === 'word' && /^(begin|end|case)$/i.test(value) ? value.toUpperCase() : value
    })
    .join('')
}

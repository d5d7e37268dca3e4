/** A piece of SQL that matters to what D1 is sent; everything quoted or commented is `text`. */
export interface Token {
  readonly kind: 'text' | 'placeholder' | 'word' | 'newline'
  readonly value: string
}

/**
 * As SQLite's tokenizer: comments, then what is quoted (a doubled quote reads as two, which is as good here), then
 * placeholders, words, line ends. Every alternative ends where it began to match or goes on to its closing mark, so
 * the time is linear.
 */
const TOKENS =
  /(--[^\n]*|\/\*.*?(?:\*\/|$)|(['"`]).*?(?:\2|$)|\[[^\]]*\]?)|(\?\d*|[:@$][\w$\x80-\ufefe]+)|([a-z_\x80-\ufefe][\w$\x80-\ufefe]*|\d[\w.]*)|(\r\n)|./gis

/** The pieces of a text, which together are the text. */
export function tokenize(sql: string): Token[] {
  return Array.from(sql.matchAll(TOKENS), ([value, quoted, , placeholder, word, newline]): Token => {
    if (quoted !== undefined) return { kind: 'text', value }
    if (placeholder !== undefined) return { kind: 'placeholder', value }
    if (word !== undefined) return { kind: 'word', value }
    return { kind: newline === undefined ? 'text' : 'newline', value }
  })
}

/**
 * The same statement as the REST API's splitter reads it: it takes `begin … end` of a trigger for what it is only in
 * upper case, and stumbles over CRLF. What is quoted stays as it is.
 *
 * @see https://github.com/cloudflare/workers-sdk/issues/14991
 * @see https://github.com/cloudflare/workers-sdk/issues/15314
 */
export function forRest(sql: string): string {
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

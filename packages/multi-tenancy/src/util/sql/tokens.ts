import type { Dialect } from '../../types/provider.ts'

/** A piece of SQL. The tokens of a text, put together, are the text. */
export interface SqlToken {
  /**
   * `word`: unquoted, so a keyword, a name or a number. `name`: a quoted identifier. `string`: in quotes or dollar
   * quotes. `variable`: a placeholder or a variable. `symbol`: any other character.
   */
  readonly kind: 'space' | 'comment' | 'word' | 'name' | 'string' | 'variable' | 'symbol'
  /** As it stands in the text, with its quotes. */
  readonly text: string
  readonly start: number
  readonly end: number
}

interface Syntax {
  /** Each expression with what it matches, in the order in which they are tried. */
  readonly patterns: readonly (readonly [SqlToken['kind'] | 'nested' | 'executed', RegExp])[]
  /** The quotes around identifiers; `'` and the others of `'"` are around strings. */
  readonly names: string
  /** What opens a string in which a backslash escapes. */
  readonly escaping: RegExp
}

const SPACE = /[\t-\r \ufeff]+/y
const BLOCK_COMMENT = /\/\*(?=.).*?(?:\*\/|$)/sy
const NEVER = /(?!)/y

/** Every expression takes linear time: none can fail after it has read more than a few characters. */
const SYNTAX: Readonly<Record<Dialect, Syntax>> = {
  // https://github.com/sqlite/sqlite/blob/version-3.45.1/src/tokenize.c#L273
  sqlite: {
    patterns: [
      ['space', SPACE],
      ['comment', /--[^\n]*/y],
      ['comment', BLOCK_COMMENT],
      ['variable', /\?\d*|[$@:#](?:[\w$\x80-\uffff]|::)*/y],
      ['word', /[\w$\x80-\uffff]+/y],
    ],
    names: '"`[',
    escaping: NEVER,
  },
  // https://www.postgresql.org/docs/current/sql-syntax-lexical.html
  postgres: {
    patterns: [
      ['space', SPACE],
      ['comment', /--[^\n\r]*/y],
      ['nested', /\/\*/y],
      ['string', /\$((?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]{0,62})?)\$.*?(?:\$\1\$|$)/sy],
      ['variable', /\$\d+/y],
    ],
    names: '"',
    escaping: /e(?=')/iy,
  },
  // https://mariadb.com/docs/server/reference/sql-structure/sql-language-structure/comment-syntax
  mysql: {
    patterns: [
      ['space', SPACE],
      // `1--1` is an expression. MySQL does not read drizzle-kit's mark as a comment.
      ['comment', /--(?!\S)[^\n]*|#[^\n]*|-->[ \t]*statement-breakpoint[^\n]*/y],
      // No server has this version: mariadb-dump speaks to the client.
      ['comment', /\/\*M!999999.*?(?:\*\/|$)/sy],
      ['executed', /\/\*M?!\d*/y],
      ['comment', BLOCK_COMMENT],
      ['variable', /\?|@@?[\w$.\x80-\uffff]*/y],
      ['word', /[\w$\x80-\uffff]+/y],
    ],
    names: '`',
    escaping: /(?=['"])/y,
  },
}
const POSTGRES_WORD = /[\w\x80-\uffff][\w$\x80-\uffff]*/y

/**
 * Cuts SQL into tokens where the server does. A quote or comment that is open at the end of the text ends there; nothing is thrown.
 * Of `/*! … *\/`, which MySQL executes, only the marks are comments.
 */
export function* tokenizeSql(sql: string, dialect: Dialect, from = 0): Generator<SqlToken> {
  const { patterns, names, escaping } = SYNTAX[dialect]
  let executed = 0
  for (let start = from, end = from; start < sql.length; start = end) {
    const match = (pattern: RegExp): boolean => {
      pattern.lastIndex = start
      const matches = pattern.test(sql)
      if (matches) end = pattern.lastIndex
      return matches
    }
    let kind = patterns.find(([, pattern]) => match(pattern))?.[0]
    if (kind === 'nested') {
      kind = 'comment'
      end = nestedEnd(sql, end)
    } else if (kind === 'executed') {
      kind = 'comment'
      executed++
    } else if (kind === undefined) {
      const escapes = match(escaping)
      const open = escapes ? end : start
      const quote = sql.charAt(open)
      if (names.includes(quote) || quote === "'" || (quote === '"' && dialect === 'mysql')) {
        kind = names.includes(quote) ? 'name' : 'string'
        const close = quote === '[' ? ']' : quote
        end = quotedEnd(sql, open, { quote: close, escapes: escapes && kind === 'string' })
      } else if (dialect === 'postgres' && match(POSTGRES_WORD)) kind = 'word'
      else if (executed > 0 && sql.startsWith('*/', start)) {
        executed--
        kind = 'comment'
        end = start + 2
      } else {
        kind = 'symbol'
        end = start + 1
      }
    }
    yield { kind, text: sql.slice(start, end), start, end }
  }
}

/** Where a comment ends that was opened before `from`, and in which others may be. */
function nestedEnd(sql: string, from: number): number {
  const edge = /\/\*|\*\//g
  edge.lastIndex = from
  for (let depth = 1; depth > 0; ) {
    const match = edge.exec(sql)
    if (match === null) return sql.length
    depth += match[0] === '/*' ? 1 : -1
  }
  return edge.lastIndex
}

/** The end of the text that is quoted from `open` on. A doubled quote stands for one; a bracket cannot be doubled. */
function quotedEnd(
  sql: string,
  open: number,
  { quote, escapes }: { readonly quote: string; readonly escapes: boolean },
): number {
  const edge = escapes ? new RegExp(`\\\\|${quote}`, 'g') : undefined
  for (let at = open + 1; ; at++) {
    if (edge !== undefined) {
      edge.lastIndex = at
      at = edge.exec(sql)?.index ?? -1
    } else at = sql.indexOf(quote, at)
    if (at === -1) return sql.length
    if (sql.charAt(at) === '\\') at++
    else if (quote === ']' || sql.charAt(at + 1) !== quote) return at + 1
    else at++
  }
}

/** The tokens that mean something, without white space and comments. */
export function* significantTokens(sql: string, dialect: Dialect): Generator<SqlToken> {
  for (const token of tokenizeSql(sql, dialect))
    if (token.kind !== 'space' && token.kind !== 'comment') yield token
}

/** What a quoted name or string stands for; any other token is its text. */
export function unquote({ kind, text }: SqlToken): string {
  if (kind !== 'name' && kind !== 'string') return text
  const quote = text.charAt(0)
  const inner = text.slice(1, text.endsWith(quote === '[' ? ']' : quote) && text.length > 1 ? -1 : undefined)
  return quote === '[' ? inner : inner.replaceAll(quote + quote, quote)
}

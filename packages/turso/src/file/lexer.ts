/** A piece of SQL as SQLite's own tokenizer cuts it; spaces and comments are left out. */
export interface Token {
  /** `word`: unquoted, so it may be a keyword. `name`: quoted. `text`: a string, which SQLite also takes as a name. */
  readonly kind: 'word' | 'name' | 'text' | 'symbol'
  /** Without its quotes, in lower case: SQLite compares names so. */
  readonly value: string
}

const IDENTIFIER = /[A-Za-z0-9_$\u0080-\uffff]+/y
const SPACE = /[ \t\n\f\r\ufeff]+|--[^\n]*|\/\*(?=[\s\S])[\s\S]*?(?:\*\/|$)/y
const VARIABLE = /[$@:#](?:[A-Za-z0-9_$\u0080-\uffff]|::)*/y

/**
 * Cuts SQL into tokens exactly where SQLite does, so that nothing can hide from a reader in what SQLite takes
 * for code. `undefined` for the two texts over which the two could still disagree: a NUL, at which SQLite stops, and
 * a Tcl variable such as `$a(')`, whose parentheses hide a quote from SQLite.
 *
 * @see https://github.com/sqlite/sqlite/blob/version-3.45.1/src/tokenize.c#L273
 */
export function tokenize(sql: string): Token[] | undefined {
  if (sql.includes('\0')) return undefined
  const tokens: Token[] = []
  let at = 0

  /** The text the pattern matches right here; the position moves behind it. */
  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = at
    const found = pattern.exec(sql)?.[0]
    if (found !== undefined) at += found.length
    return found
  }

  while (at < sql.length) {
    if (match(SPACE) !== undefined) continue
    const character = sql.charAt(at)
    if (character === "'" || character === '"' || character === '`' || character === '[') {
      const end = endOfQuoted(sql, at, character === '[' ? ']' : character)
      const inner = sql.slice(at + 1, end)
      const value = (
        character === '[' ? inner : inner.replaceAll(character + character, character)
      ).toLowerCase()
      tokens.push({ kind: character === "'" ? 'text' : 'name', value })
      at = end + 1
      continue
    }
    if (match(VARIABLE) !== undefined) {
      if (sql.charAt(at) === '(') return undefined
      tokens.push({ kind: 'symbol', value: '?' })
      continue
    }
    const word = match(IDENTIFIER)
    if (word === undefined) at++
    tokens.push(
      word === undefined ? { kind: 'symbol', value: character } : { kind: 'word', value: word.toLowerCase() },
    )
  }
  return tokens
}

/** Where the quote that closes is; the end of the text when none does. */
function endOfQuoted(sql: string, start: number, quote: string): number {
  for (let at = start + 1; ; at++) {
    at = sql.indexOf(quote, at)
    if (at === -1) return sql.length
    // A doubled quote stands for one; a bracket cannot be doubled.
    if (quote === ']' || sql.charAt(at + 1) !== quote) return at
    at++
  }
}

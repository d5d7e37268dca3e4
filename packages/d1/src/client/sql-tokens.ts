/** A token of SQL text. Quoted text, white space and other characters are `text`. */
export interface Token {
  readonly kind: 'comment' | 'text' | 'placeholder' | 'word' | 'newline'
  readonly value: string
}

/**
 * SQLite's tokens: comments, quoted text (a doubled quote counts as two, which is equivalent here), placeholders,
 * words and line ends. No alternative backtracks, so the time is linear.
 */
const TOKENS =
  /(--[^\n]*|\/\*.*?(?:\*\/|$))|((['"`]).*?(?:\3|$)|\[[^\]]*\]?)|(\?\d*|[:@$][\w$\x80-\ufefe]+)|([a-z_\x80-\ufefe][\w$\x80-\ufefe]*|\d[\w.]*)|(\r\n)|./gis

/** Splits a text into tokens; joined, they are the text again. */
export function tokenize(sql: string): Token[] {
  return Array.from(sql.matchAll(TOKENS), ([value, comment, quoted, , placeholder, word, newline]): Token => {
    if (comment !== undefined) return { kind: 'comment', value }
    if (quoted !== undefined) return { kind: 'text', value }
    if (placeholder !== undefined) return { kind: 'placeholder', value }
    if (word !== undefined) return { kind: 'word', value }
    return { kind: newline === undefined ? 'text' : 'newline', value }
  })
}

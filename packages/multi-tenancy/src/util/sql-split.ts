import type { Dialect } from '../types/provider.ts'

/**
 * The tokens of each dialect: comments (the first group), then whatever is quoted, bare words, and any other
 * character. A doubled quote reads as two tokens, which is as good here. No alternative can fail after it has
 * scanned more than a few characters, so the time is linear in the text. What stays open ends with the text.
 */
const TOKENS: Readonly<Record<Dialect, RegExp>> = {
  sqlite: /(--[^\n]*|\/\*.*?(?:\*\/|$))|(['"`]).*?(?:\2|$)|\[[^\]]*\]?|[\w\x80-\ufefe][\w$\x80-\ufefe]*|\S/gs,
  // Comments nest, which no expression follows, and end with a bare \r too. A quote after an odd number of backslashes
  // ends no E'…'.
  postgres:
    /(--[^\n\r]*|\/\*)|e'.*?(?:'(?<=(?<!\\)(?:\\\\)*')|$)|(['"]).*?(?:\2|$)|\$((?:[a-z_\x80-\ufefe][\w\x80-\ufefe]{0,62})?)\$.*?(?:\$\3\$|$)|[\w\x80-\ufefe][\w$\x80-\ufefe]*|\S/gis,
  // What /*! or MariaDB's /*M! opens is executed, so only the opening is skipped. `1--1` is no comment.
  mysql:
    /(--(?!\S)[^\n]*|#[^\n]*|\/\*M?!\d*|\/\*.*?(?:\*\/|$))|(['"]).*?(?:\2(?<=(?<!\\)(?:\\\\)*\2)|$)|`[^`]*`?|[\w\x80-\ufefe][\w$\x80-\ufefe]*|\S/gs,
}

interface Token {
  /** In upper case: a bare word, all of a quoted text, or one character. */
  readonly text: string
  readonly start: number
  readonly end: number
}

/** The tokens that are no comments. */
function* tokens(sql: string, dialect: Dialect): Generator<Token> {
  const next = new RegExp(TOKENS[dialect])
  for (let match = next.exec(sql); match !== null; match = next.exec(sql)) {
    if (match[1] === undefined)
      yield { text: match[0].toUpperCase(), start: match.index, end: next.lastIndex }
    else if (match[1] === '/*') next.lastIndex = nestedEnd(sql, next.lastIndex)
  }
}

/** Where a comment ends that was opened before `from`. */
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

/**
 * The statements of a `.sql` text, trimmed, without their `;`; the empty and the comment-only ones are left out.
 * Knows quotes, comments, dollar quotes and `BEGIN … END` bodies of triggers and routines (in MySQL without
 * `DELIMITER`, which is a command of its client; the outermost block must be one). Takes linear time. Broken SQL comes out as some statement that
 * the server refuses; nothing is thrown.
 */
export function splitStatements(sql: string, dialect: Dialect): string[] {
  const statements: string[] = []
  let begin = 0
  let previous = ''
  // Undefined until the words after CREATE tell whether a body may follow.
  let routine: boolean | undefined
  let blocks = 0
  let parens = 0

  for (const { text, start, end } of tokens(sql, dialect)) {
    if (text === ';' && blocks + parens === 0) {
      if (previous !== '') statements.push(sql.slice(begin, start).trim())
      begin = end
      previous = ''
      routine = undefined
      continue
    }
    if (text === '(') parens++
    else if (text === ')') parens = Math.max(0, parens - 1)
    else if (previous === '') routine = /^(CREATE|ALTER)$/.test(text) ? undefined : false
    else if (routine === undefined) {
      if (/^(TRIGGER|PROCEDURE|FUNCTION|EVENT)$/.test(text)) routine = true
      else if (/^(TABLE|VIEW|INDEX|DATABASE|SCHEMA)$/.test(text)) routine = false
    }
    // `NEW.end` is a column.
    else if (routine && parens === 0 && previous !== '.') {
      blocks = Math.max(0, blocks + (dialect === 'sqlite' ? triggerBlock : block)(text, previous, blocks))
    }
    previous = text
  }
  if (previous !== '') statements.push(sql.slice(begin).trim())
  return statements
}

/** As sqlite3_complete does: a trigger ends with `;END`. Any other END is a column's name or a CASE's. */
function triggerBlock(word: string, previous: string, depth: number): number {
  if (word === 'BEGIN') return depth === 0 ? 1 : 0
  return word === 'END' && previous === ';' ? -1 : 0
}

/** By how much a word changes the depth. `END IF` and the like close what was not counted. */
function block(word: string, previous: string, depth: number): number {
  if (word === 'END') return -1
  if (word === 'BEGIN') return 1
  if (word === 'CASE') return depth > 0 && previous !== 'END' ? 1 : 0
  return previous === 'END' && /^(IF|LOOP|WHILE|REPEAT)$/.test(word) ? 1 : 0
}

/**
 * The first word of a statement in upper case (`ATTACH`, `CREATE`), behind comments and stray `;`, or `''`
 * where it starts with anything else. For providers that refuse some statements; split first.
 */
export function leadingKeyword(statement: string, dialect: Dialect = 'sqlite'): string {
  return leadingWords(statement, 1, dialect)[0] ?? ''
}

/** The same for the first words: as many as there are in a row, and no more than `count`. */
export function leadingWords(statement: string, count: number, dialect: Dialect = 'sqlite'): string[] {
  const words: string[] = []
  for (const { text } of tokens(statement, dialect)) {
    if (text === ';' && words.length === 0) continue
    if (!/^[\w\x80-\ufefe]+$/.test(text) || words.push(text) === count) break
  }
  return words
}

import type { Dialect } from '../../types/provider.ts'
import { significantTokens } from './tokens.ts'

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

  for (const token of significantTokens(sql, dialect)) {
    const { start, end } = token
    const text = token.text.toUpperCase()
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
  for (const { kind, text } of significantTokens(statement, dialect)) {
    if (text === ';' && words.length === 0) continue
    if (kind !== 'word' || words.push(text.toUpperCase()) === count) break
  }
  return words
}

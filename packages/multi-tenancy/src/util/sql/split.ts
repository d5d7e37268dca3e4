import type { Dialect } from '../../types/provider.ts'
import { createBlockTracker } from './blocks.ts'
import { type SqlToken, significantTokens, tokenizeSql } from './tokens.ts'

/** One statement of a text. */
export interface SqlStatement {
  /** Trimmed, without what ends it. */
  readonly text: string
  /** The line of its first word, from 1. */
  readonly line: number
}

/** drizzle-kit writes it between statements. */
const BREAKPOINT = /^-->\s*statement-breakpoint/

/**
 * The statements of a `.sql` text, trimmed, without their `;`; the empty and the comment-only ones are left out. A
 * `--> statement-breakpoint` ends a statement in every dialect, and `DELIMITER` of the `mysql` client changes what does
 * in MySQL. A `;` in quotes, comments, dollar quotes and the bodies of triggers and routines ends none. Takes linear
 * time. Broken SQL comes out as some statement that the server refuses; nothing is thrown.
 */
export function splitStatements(sql: string, dialect: Dialect): string[] {
  return locateStatements(sql, dialect).map(({ text }) => text)
}

/** `splitStatements`, with the line of each statement. */
export function locateStatements(sql: string, dialect: Dialect): SqlStatement[] {
  const statements: SqlStatement[] = []
  const lines = createLineCounter(sql)
  let delimiter = ';'
  let blocks = createBlockTracker(dialect)
  let begin = 0
  let first: SqlToken | undefined

  function end(at: number, next: number): void {
    // With another delimiter, the `;` of the last statement in a body may be there, too.
    const text = sql
      .slice(begin, at)
      .trim()
      .replace(delimiter === ';' ? /$^/ : /(?:\s*;)+$/, '')
    if (first !== undefined && text !== '') statements.push({ text, line: lines(first.start) })
    begin = next
    first = undefined
    blocks = createBlockTracker(dialect)
  }

  for (let from = 0, restart = true; restart; ) {
    restart = false
    for (const token of tokenizeSql(sql, dialect, from)) {
      const { kind, text, start } = token
      if (kind === 'comment' && BREAKPOINT.test(text)) end(start, token.end)
      if (kind === 'space' || kind === 'comment') continue
      if (dialect === 'mysql' && first === undefined && /^delimiter$/i.test(text)) {
        const line = /[^\n]*/y
        line.lastIndex = token.end
        const [rest = ''] = line.exec(sql) ?? []
        delimiter = rest.trim().split(/\s/)[0] || delimiter
        from = token.end + rest.length
        end(from, from)
        restart = true
        break
      }
      if (delimiter === ';') {
        if (text === ';' && !blocks.isOpen()) {
          end(start, token.end)
          continue
        }
        blocks.read(token)
      } else if (kind !== 'string' && kind !== 'name') {
        // `END//` and `END$$`: the client finds the delimiter everywhere outside quotes and comments.
        let at = start
        while (at < token.end && !sql.startsWith(delimiter, at)) at++
        if (at < token.end) {
          if (at > start) first ??= token
          end(at, at + delimiter.length)
          from = at + delimiter.length
          restart = true
          break
        }
      }
      first ??= token
    }
  }
  end(sql.length, sql.length)
  return statements
}

/** Finds the lines of ascending positions. */
function createLineCounter(sql: string): (position: number) => number {
  let line = 1
  let at = 0
  return (position) => {
    for (let next = sql.indexOf('\n', at); next !== -1 && next < position; next = sql.indexOf('\n', at)) {
      line++
      at = next + 1
    }
    return line
  }
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

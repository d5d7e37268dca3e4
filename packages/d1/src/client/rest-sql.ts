import { type SqlToken, splitStatements, tokenizeSql } from '@tenantry/multi-tenancy/provider'
import { createD1Error } from '../errors.ts'
import { type BoundStatement, toRestParams } from './values.ts'

/**
 * The statements of a prepared text, each as the REST API accepts it: with several statements, a binding runs all,
 * binds the values to the last and returns its rows, which the API does not.
 *
 * @throws D1's own errors for texts that a binding rejects but the API does not
 */
export function toRestStatements({ sql, params }: BoundStatement): BoundStatement[] {
  const statements = splitStatements(sql, 'sqlite')
  const last = statements.at(-1)
  if (last === undefined || endsWithComment(sql)) throw createD1Error('SQL code did not contain a statement.')
  // Unchanged where possible: SQLite's errors name positions in the text.
  if (statements.length === 1) return [encodeStatement({ sql, params })]
  const leading = statements.slice(0, -1)
  if (leading.some(hasPlaceholder)) {
    throw createD1Error(
      'When executing multiple SQL statements in a single call, only the last statement can have parameters.',
    )
  }
  return [...leading.map((text) => ({ sql: text, params: [] })), { sql: last, params }].map(encodeStatement)
}

function encodeStatement(statement: BoundStatement): BoundStatement {
  const { sql, params } = toRestParams(statement)
  return { sql: toRestSql(sql), params }
}

function hasPlaceholder(sql: string): boolean {
  return tokenize(sql).some(({ kind }) => kind === 'variable')
}

/** Whether the last `;` is followed by comments only. */
function endsWithComment(sql: string): boolean {
  const tokens = tokenize(sql)
  const trailing = tokens.slice(tokens.findLastIndex(({ text }) => text === ';') + 1)
  return trailing.some(({ kind }) => kind === 'comment') && trailing.every(isIgnored)
}

function isIgnored({ kind }: SqlToken): boolean {
  return kind === 'comment' || kind === 'space'
}

function tokenize(sql: string): SqlToken[] {
  return Array.from(tokenizeSql(sql, 'sqlite'))
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
  const isTrigger = tokens.some(({ kind, text }) => kind === 'word' && /^trigger$/i.test(text))
  return tokens
    .map(({ kind, text }) => {
      if (kind === 'space') return text.replaceAll('\r\n', '\n')
      return isTrigger && kind === 'word' && /^(begin|end|case)$/i.test(text) ? text.toUpperCase() : text
    })
    .join('')
}

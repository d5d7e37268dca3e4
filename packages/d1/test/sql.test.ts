import { tokenizeSql } from '@tenantry/multi-tenancy/provider'
import { describe, expect, test } from 'vitest'
import { toRestSql, toRestStatements } from '../src/client/rest-sql.ts'
import { checkStatementLimits } from '../src/client/statement-limits.ts'
import { toBindable, toD1Value, toRestParams } from '../src/client/values.ts'

const TEXTS = [
  `SELECT '?', "?", \`?\`, [?], x'00' -- ? in a comment\n, ? /* ? */ + ?`,
  `SELECT 'it''s ?' || "a""?" || ?`,
  'SELECT a.b, 1.5e3, ?1, :name, @at, $dollar',
  "SELECT 'never closed ?",
  'SELECT /* never closed ?',
  'SELECT [never closed ?',
  'Zürich 東京 👩‍🚀 \u0000',
]

describe('the tokenizer', () => {
  test.each(TEXTS)('loses no character of %s', (sql) => {
    const tokens = Array.from(tokenizeSql(sql, 'sqlite'), ({ text }) => text)
    expect(tokens.join('')).toBe(sql)
  })

  test('finds the placeholders that SQLite binds, and no other', () => {
    const placeholders = TEXTS.map((sql) =>
      Array.from(tokenizeSql(sql, 'sqlite')).flatMap(({ kind, text }) => (kind === 'variable' ? [text] : [])),
    )
    expect(placeholders).toEqual([['?', '?'], ['?'], ['?1', ':name', '@at', '$dollar'], [], [], [], []])
  })

  test('takes linear time', () => {
    for (const piece of ["'", '/*', '[', 'a', '--', '?', '"x']) {
      const sql = piece.repeat(100_000)
      const begin = performance.now()
      Array.from(tokenizeSql(sql, 'sqlite'))
      expect(performance.now() - begin).toBeLessThan(2_000)
    }
  })
})

describe('values', () => {
  test('an integer that a number cannot hold is sent as text and cast by SQLite', () => {
    expect(toBindable("SELECT '?', ?, ?, ?2", [1n, 2n ** 60n])).toEqual({
      sql: "SELECT '?', ?, CAST(? AS INTEGER), CAST(?2 AS INTEGER)",
      params: [1, '1152921504606846976'],
    })
  })

  test('bytes are sent over REST as hex text', () => {
    expect(toRestParams({ sql: 'SELECT ?, ?, ?1', params: [new Uint8Array([0, 255]), 'x'] })).toEqual({
      sql: 'SELECT unhex(?), ?, unhex(?1)',
      params: ['00ff', 'x'],
    })
  })

  test.each([
    [undefined, 'undefined'],
    [1n, 'bigint'],
    [{}, 'object'],
    [[256], 'object'],
  ])('%s is rejected with the error of a binding', (value, type) => {
    expect(() => toD1Value(value)).toThrow(`D1_TYPE_ERROR: Type '${type}' not supported`)
  })

  test('lists of bytes and booleans are converted as a binding does', () => {
    expect(toD1Value([1, 255])).toEqual(new Uint8Array([1, 255]))
    expect(toD1Value(true)).toBe(1)
  })
})

describe('a statement for the REST API', () => {
  test('has the keywords of a trigger in upper case, and plain line ends', () => {
    const trigger =
      "create trigger t after insert on notes begin\r\n  update notes set body = 'begin\r\nend' where id = new.id;\r\nend"
    expect(toRestSql(trigger)).toBe(
      "create trigger t after insert on notes BEGIN\n  update notes set body = 'begin\r\nend' where id = new.id;\nEND",
    )
  })

  test('is unchanged where it has no trigger', () => {
    const sql = "SELECT 'begin' AS begin;"
    expect(toRestStatements({ sql, params: [] })).toEqual([{ sql, params: [] }])
  })

  test('is split where the text has several, with the values at the last', () => {
    expect(toRestStatements({ sql: "SELECT ';'; SELECT ?;", params: [1] })).toEqual([
      { sql: "SELECT ';'", params: [] },
      { sql: 'SELECT ?', params: [1] },
    ])
  })
})

test('a statement over a limit of D1 is rejected, with its position, before anything is sent', () => {
  const fits = `SELECT '${'é'.repeat(49_000)}'`
  checkStatementLimits([{ sql: fits, params: Array(100).fill(1) }])
  const tooLong = `${fits}${'é'.repeat(1_000)}`
  expect(() => checkStatementLimits([{ sql: 'SELECT 1' }, { sql: tooLong }])).toThrow(
    expect.objectContaining({ statementIndex: 1, message: expect.stringContaining('100,000 bytes') }),
  )
  expect(() => checkStatementLimits([{ sql: '', params: Array(101).fill(1) }])).toThrow(/101 values/)
})

import { expect, test } from 'vitest'
import { tokenize, toRestSql } from '../src/client/rest-sql.ts'
import { checkStatementLimits } from '../src/client/statement-limits.ts'
import { toBindable, toD1Value, toRestParams } from '../src/client/values.ts'

const HARD = [
  `SELECT '?', "?", \`?\`, [?], x'00' -- ? in a comment\n, ? /* ? */ + ?`,
  `SELECT 'it''s ?' || "a""?" || ?`,
  'SELECT a.b, 1.5e3, ?1, :name, @at, $dollar',
  "SELECT 'never closed ?",
  'SELECT /* never closed ?',
  'SELECT [never closed ?',
  'Zürich 東京 👩‍🚀 \u0000',
]

test.each(HARD)('the pieces of a text are the text: %s', (sql) => {
  expect(
    tokenize(sql)
      .map(({ value }) => value)
      .join(''),
  ).toBe(sql)
})

test('only what SQLite binds is a placeholder', () => {
  const found = HARD.map((sql) =>
    tokenize(sql).flatMap(({ kind, value }) => (kind === 'placeholder' ? [value] : [])),
  )
  expect(found).toEqual([['?', '?'], ['?'], ['?1', ':name', '@at', '$dollar'], [], [], [], []])
})

test('long text takes linear time', () => {
  for (const piece of ["'", '/*', '[', 'a', '--', '?', '"x']) {
    const sql = piece.repeat(100_000)
    const begin = performance.now()
    tokenize(sql)
    expect(performance.now() - begin).toBeLessThan(2_000)
  }
})

test('an integer beyond a number goes as text and is made an integer again', () => {
  expect(toBindable("SELECT '?', ?, ?", [1n, 2n ** 60n])).toEqual({
    sql: "SELECT '?', ?, CAST(? AS INTEGER)",
    params: [1, '1152921504606846976'],
  })
  expect(() => toBindable('SELECT ?1', [2n ** 60n])).toThrow(/plain \? placeholders/)
})

test('bytes go over REST as hex', () => {
  expect(toRestParams({ sql: 'SELECT ?, ?', params: [new Uint8Array([0, 255]), 'x'] })).toEqual({
    sql: 'SELECT unhex(?), ?',
    params: ['00ff', 'x'],
  })
})

test('what D1 does not bind is refused as D1 does', () => {
  for (const [value, type] of [
    [undefined, 'undefined'],
    [1n, 'bigint'],
    [{}, 'object'],
    [[256], 'object'],
  ] as const) {
    expect(() => toD1Value(value)).toThrow(`D1_TYPE_ERROR: Type '${type}' not supported`)
  }
  expect(toD1Value([1, 255])).toEqual(new Uint8Array([1, 255]))
  expect(toD1Value(true)).toBe(1)
})

test('a trigger reaches the REST splitter with keywords in upper case and plain line ends', () => {
  const trigger =
    "create trigger t after insert on notes begin\r\n  update notes set body = 'begin\r\nend' where id = new.id;\r\nend"
  expect(toRestSql(trigger)).toBe(
    "create trigger t after insert on notes BEGIN\n  update notes set body = 'begin\r\nend' where id = new.id;\nEND",
  )
  const plain = "SELECT 'begin' AS begin"
  expect(toRestSql(plain)).toBe(plain)
})

test('what is longer than D1 takes is named before anything is sent', () => {
  const fits = `SELECT '${'é'.repeat(49_000)}'`
  checkStatementLimits([{ sql: fits, params: Array(100).fill(1) }])
  expect(() => checkStatementLimits([{ sql: 'SELECT 1' }, { sql: `${fits}${'é'.repeat(1_000)}` }])).toThrow(
    expect.objectContaining({ statementIndex: 1, message: expect.stringContaining('100,000 bytes') }),
  )
  expect(() => checkStatementLimits([{ sql: '', params: Array(101).fill(1) }])).toThrow(/101 values/)
})

import { deepEqual, equal } from 'node:assert/strict'
import { inspect } from 'node:util'
import type { Row } from '@tenantry/multi-tenancy/provider'
import { sql } from 'kysely'
import { type ConformanceCase, defineCases } from '../../case.ts'
import { expectMappedError, expectSuccess } from '../../support/expect-error.ts'
import {
  CREATE_NOTES,
  countTables,
  insertNote,
  SELECT_NOTES,
  statement,
  TYPES,
  toBodies,
} from '../../support/notes.ts'

/** `query` and `batch`. */
export const contractSql: readonly ConformanceCase[] = defineCases('contract', [
  {
    name: 'runs the statements of a batch in order and accepts an empty batch',
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      await expectSuccess('an empty batch', () => t.provider.batch(client, []))
      await t.provider.batch(client, [
        { sql: CREATE_NOTES },
        insertNote(t.dialect, 1, 'one'),
        { sql: "UPDATE notes SET body = 'uno' WHERE id = 1" },
        insertNote(t.dialect, 2, 'two'),
      ])
      deepEqual(toBodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)), ['uno', 'two'])
    },
  },
  {
    name: 'stops a batch at its first error and rejects it',
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      await t.provider.batch(client, [{ sql: CREATE_NOTES }, insertNote(t.dialect, 1, 'one')])
      await expectMappedError('a batch with a duplicate key', t.provider.mapError, () =>
        t.provider.batch(client, [
          insertNote(t.dialect, 1, 'again'),
          insertNote(t.dialect, 2, 'after the error'),
        ]),
      )
      deepEqual(toBodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)), ['one'])
      await expectSuccess('the next batch', () =>
        t.provider.batch(client, [insertNote(t.dialect, 3, 'three')]),
      )
    },
  },
  {
    name: 'undoes the rows and tables of an atomic batch that fails',
    skip: ({ provider }) =>
      provider.capabilities.transactionalDdl ? undefined : 'transactionalDdl is false',
    async run(t) {
      const name = `${t.prefix}a`
      const client = await t.open(name)
      await t.provider.batch(client, [{ sql: CREATE_NOTES }])
      await expectMappedError('a batch that ends in an error', t.provider.mapError, () =>
        t.provider.batch(client, [
          insertNote(t.dialect, 1, 'undone'),
          { sql: 'CREATE TABLE undone (id INTEGER)' },
          insertNote(t.dialect, 1, 'duplicate key'),
        ]),
      )
      deepEqual(toBodies(await t.oracle.query(name, SELECT_NOTES)), [], 'the row stayed')
      equal(
        Number((await t.oracle.query(name, countTables(t.dialect, 'undone')))[0]?.tables),
        0,
        'the table stayed',
      )
    },
  },
  {
    name: 'binds parameters of every type without changing their values',
    async run(t) {
      const { text, blob, asText, real } = TYPES[t.dialect]
      const client = await t.open(`${t.prefix}a`)
      await t.provider.batch(client, [
        {
          sql: `CREATE TABLE kinds (id INTEGER PRIMARY KEY, t ${text}, n INTEGER, r ${real}, big BIGINT, yes BOOLEAN, bin ${blob})`,
        },
      ])
      const texts = [
        '',
        'it\'s ?, $1, :a, @b, \\ and "',
        'Zürich 東京 👩‍🚀 e\u0301',
        'line\nline\ttab',
        'null',
      ]
      const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
      const insert = 'INSERT INTO kinds (id, t, n, r, big, yes, bin) VALUES (?, ?, ?, ?, ?, ?, ?)'
      const rows = texts.map((each, id) =>
        statement(t.dialect, insert, id, each, -id - 1, id + 0.5, 2n ** 53n + 1n, id % 2 === 0, bytes),
      )
      const nulls = statement(t.dialect, insert, texts.length, null, null, null, null, null, null)
      await t.provider.batch(client, [...rows, nulls])
      const read = await t.provider.query(
        client,
        statement(
          t.dialect,
          `SELECT id, t, n, r, CAST(big AS ${asText}) AS big, yes, bin FROM kinds WHERE id >= ? ORDER BY id`,
          0,
        ),
      )
      equal(read.length, texts.length + 1)
      for (const [id, each] of texts.entries()) {
        const row = read[id] ?? {}
        equal(row.t, each, 'text')
        equal(Number(row.n), -id - 1, 'number')
        equal(Number(row.r), id + 0.5, 'fraction')
        equal(row.big, '9007199254740993', 'bigint')
        equal(Boolean(row.yes), id % 2 === 0, 'boolean')
        deepEqual([...toBytes(row.bin)], [...bytes], 'bytes')
      }
      const { id: _, ...last } = read[texts.length] ?? {}
      for (const [column, value] of Object.entries(last)) equal(value, null, `null in ${column}`)
    },
  },
  {
    name: 'returns an integer beyond 2^53 exactly, or rejects the query',
    skip: ({ roundsIntegers }) => roundsIntegers,
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      await t.provider.batch(client, [
        { sql: 'CREATE TABLE numbers (id INTEGER NOT NULL PRIMARY KEY, big BIGINT NOT NULL)' },
      ])
      const integers = [2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n]
      for (const [id, integer] of integers.entries()) {
        await t.oracle.execute(`${t.prefix}a`, `INSERT INTO numbers (id, big) VALUES (${id}, ${integer})`)
        const select = `SELECT big FROM numbers WHERE id = ${id}`
        for (const [reader, read] of [
          ['query', () => t.provider.query(client, { sql: select })],
          ['kysely', async () => (await sql.raw<Row>(select).execute(t.provider.kysely(client))).rows],
        ] as const) {
          const rows = await read().catch(() => undefined)
          if (rows !== undefined) equal(String(rows[0]?.big), String(integer), `${reader} of ${integer}`)
        }
      }
    },
  },
  {
    name: 'binds the parameters of a query and leaves a ? inside a literal alone',
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      const quoted = "what? 'tis $1"
      await t.provider.batch(client, [{ sql: CREATE_NOTES }, insertNote(t.dialect, 7, quoted)])
      const placeholder = t.dialect === 'postgres' ? '$1' : '?'
      const select = `SELECT id, 'a?b' AS literal FROM notes WHERE body = ${placeholder}`
      const rows = await expectSuccess(select, () =>
        t.provider.query(client, { sql: select, params: [quoted] }),
      )
      deepEqual(
        rows.map((row) => [Number(row.id), row.literal]),
        [[7, 'a?b']],
      )
    },
  },
])

function toBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  if (Array.isArray(value)) return Uint8Array.from(value)
  throw new TypeError(`bytes were returned as ${inspect(value)}`)
}

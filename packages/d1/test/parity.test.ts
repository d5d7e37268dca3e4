import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { Kysely, sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type D1Database, d1Kysely } from '../src/index.ts'
import { type Ladder, startLadder } from './access-methods.ts'
import { DATABASE_OPERATIONS, OPERATIONS } from './binding-operations.ts'

let ladder: Ladder
beforeAll(async () => {
  ladder = await startLadder()
})
afterAll(() => ladder?.stop())

type Outcome = { value: unknown } | { error: string; cause: string | undefined }

/** What an app sees, but for times, regions and the like. */
async function outcomeOf(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    const value = await work()
    return { value: value === undefined ? undefined : JSON.parse(JSON.stringify(value, withoutChance)) }
  } catch (error) {
    const { name, message, cause } = error as Error
    return { error: `${name} ${message}`, cause: cause instanceof Error ? cause.message : undefined }
  }
}

function withoutChance(key: string, value: any): unknown {
  if (key === 'duration') return typeof value
  if (key !== 'meta') return value
  const { changes, last_row_id, changed_db, rows_read, rows_written } = value
  // Where nothing was inserted, the last row id depends on earlier tests of the same process.
  return { changes, changed_db, rows_read, rows_written, ...(changes > 0 && { last_row_id }) }
}

async function prepared(db: D1Database): Promise<D1Database> {
  await db.batch([
    db.prepare('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)'),
    db.prepare("INSERT INTO notes (body) VALUES ('one'), ('two')"),
  ])
  return db
}

describe('returns what a binding returns', () => {
  test.for(Object.entries({ ...OPERATIONS, ...DATABASE_OPERATIONS }))('%s', async ([, run]) => {
    const { workerd, ...others } = ladder.open()
    const expected = await outcomeOf(async () => run(await prepared(await workerd())))
    for (const [way, open] of Object.entries(others)) {
      expect(await outcomeOf(async () => run(await prepared(await open()))), way).toEqual(expected)
    }
  })
})

describe("a session returns what a binding's session returns", () => {
  test.for(Object.entries(OPERATIONS))('%s', async ([, run]) => {
    const { workerd, rest: _, ...others } = ladder.open()
    const inSession = async (open: () => Promise<D1Database>) =>
      run((await prepared(await open())).withSession('first-primary'))
    const expected = await outcomeOf(() => inSession(workerd))
    for (const [way, open] of Object.entries(others)) {
      expect(await outcomeOf(() => inSession(open)), way).toEqual(expected)
    }
  })
})

const notes = sqliteTable('notes', { id: integer('id').primaryKey(), body: text('body').notNull() })

test('Drizzle runs on every way', async () => {
  for (const [way, open] of Object.entries(ladder.open())) {
    const db = drizzle((await prepared(await open())) as never)
    await db.insert(notes).values({ body: 'three' })
    await db.batch([db.update(notes).set({ body: 'zwei' }).where(eq(notes.id, 2)), db.select().from(notes)])
    const rows = await db.select().from(notes).orderBy(notes.id)
    expect(
      rows.map(({ body }) => body),
      way,
    ).toEqual(['one', 'zwei', 'three'])
  }
})

test('Kysely runs on every way, counts what it changed, and has no transactions', async () => {
  for (const [way, open] of Object.entries(ladder.open())) {
    const db = new Kysely<any>({ dialect: d1Kysely(await prepared(await open())) })
    const inserted = await db.insertInto('notes').values({ body: 'three' }).executeTakeFirst()
    expect([inserted.insertId, inserted.numInsertedOrUpdatedRows], way).toEqual([3n, 1n])
    const updated = await db.updateTable('notes').set({ body: 'x' }).where('id', '<', 3).executeTakeFirst()
    expect(updated.numUpdatedRows, way).toBe(2n)
    const large = await sql<{ n: string }>`SELECT CAST(${2n ** 60n} AS TEXT) AS n`.execute(db)
    expect(large.rows, way).toEqual([{ n: String(2n ** 60n) }])
    const work = db.transaction().execute((trx) => trx.deleteFrom('notes').execute())
    await expect(work, way).rejects.toMatchObject({ code: 'not_supported' })
    expect(await db.selectFrom('notes').selectAll().execute(), way).toHaveLength(3)
  }
})

test('Kysely knows the tables and not D1’s own', async () => {
  for (const [way, open] of Object.entries(ladder.open())) {
    const db = new Kysely<any>({ dialect: d1Kysely(await prepared(await open())) })
    await db.schema.createView('shown').as(db.selectFrom('notes').select('body')).execute()
    await db.schema.createTable('kysely_migration').addColumn('name', 'text').execute()
    const tables = await db.introspection.getTables()
    expect(
      tables.map(({ name, isView }) => [name, isView]),
      way,
    ).toEqual([
      ['notes', false],
      ['shown', true],
    ])
    expect(tables[0]?.columns, way).toMatchObject([
      { name: 'id', dataType: 'INTEGER', isAutoIncrementing: true, hasDefaultValue: false },
      { name: 'body', dataType: 'TEXT', isNullable: false, isAutoIncrementing: false },
    ])
    expect(await db.introspection.getTables({ withInternalKyselyTables: true }), way).toHaveLength(3)
  }
})

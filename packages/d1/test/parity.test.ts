import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { Kysely, sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type D1Database, d1Kysely } from '../src/index.ts'
import { type AccessMethods, startAccessMethods } from './access-methods.ts'
import { DATABASE_OPERATIONS, OPERATIONS } from './binding-operations.ts'

let methods: AccessMethods
beforeAll(async () => {
  methods = await startAccessMethods(600)
})
afterAll(() => methods?.stop())

type Outcome = { value: unknown } | { error: string; cause: string | undefined }

/** The value or error that an app receives, without times and regions. */
async function getOutcome(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    const value = await work()
    return { value: value === undefined ? undefined : JSON.parse(JSON.stringify(value, omitVariableFigures)) }
  } catch (error) {
    const { name, message, cause } = error as Error
    return { error: `${name} ${message}`, cause: cause instanceof Error ? cause.message : undefined }
  }
}

function omitVariableFigures(key: string, value: any): unknown {
  if (key === 'duration') return typeof value
  if (key !== 'meta') return value
  const { changes, last_row_id, changed_db, rows_read, rows_written } = value
  // Where nothing was inserted, the last row id depends on earlier tests of the same process.
  return { changes, changed_db, rows_read, rows_written, ...(changes > 0 && { last_row_id }) }
}

async function createNotes(db: D1Database): Promise<D1Database> {
  await db.batch([
    db.prepare('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)'),
    db.prepare("INSERT INTO notes (body) VALUES ('one'), ('two')"),
  ])
  return db
}

describe('returns what a binding returns', () => {
  test.for(Object.entries({ ...OPERATIONS, ...DATABASE_OPERATIONS }))('%s', async ([, run]) => {
    const { workerd, ...others } = methods.open
    const expected = await getOutcome(async () => run(await createNotes(await workerd())))
    for (const [method, open] of Object.entries(others)) {
      expect(await getOutcome(async () => run(await createNotes(await open()))), method).toEqual(expected)
    }
  })
})

describe("a session returns what a binding's session returns", () => {
  test.for(Object.entries(OPERATIONS))('%s', async ([, run]) => {
    const { workerd, rest: _, ...others } = methods.open
    const inSession = async (open: () => Promise<D1Database>) =>
      run((await createNotes(await open())).withSession('first-primary'))
    const expected = await getOutcome(() => inSession(workerd))
    for (const [method, open] of Object.entries(others)) {
      expect(await getOutcome(() => inSession(open)), method).toEqual(expected)
    }
  })
})

const notes = sqliteTable('notes', { id: integer('id').primaryKey(), body: text('body').notNull() })

test('Drizzle runs with every access method', async () => {
  for (const [method, open] of Object.entries(methods.open)) {
    const db = drizzle((await createNotes(await open())) as never)
    await db.insert(notes).values({ body: 'three' })
    await db.batch([db.update(notes).set({ body: 'zwei' }).where(eq(notes.id, 2)), db.select().from(notes)])
    const rows = await db.select().from(notes).orderBy(notes.id)
    expect(
      rows.map(({ body }) => body),
      method,
    ).toEqual(['one', 'zwei', 'three'])
  }
})

test('Kysely runs with every access method, counts changed rows, and rejects transactions', async () => {
  for (const [method, open] of Object.entries(methods.open)) {
    const db = new Kysely<any>({ dialect: d1Kysely(await createNotes(await open())) })
    const inserted = await db.insertInto('notes').values({ body: 'three' }).executeTakeFirst()
    expect([inserted.insertId, inserted.numInsertedOrUpdatedRows], method).toEqual([3n, 1n])
    const updated = await db.updateTable('notes').set({ body: 'x' }).where('id', '<', 3).executeTakeFirst()
    expect(updated.numUpdatedRows, method).toBe(2n)
    const large = await sql<{ n: string }>`SELECT CAST(${2n ** 60n} AS TEXT) AS n`.execute(db)
    expect(large.rows, method).toEqual([{ n: String(2n ** 60n) }])
    const transaction = db.transaction().execute((trx) => trx.deleteFrom('notes').execute())
    await expect(transaction, method).rejects.toMatchObject({ code: 'not_supported' })
    expect(await db.selectFrom('notes').selectAll().execute(), method).toHaveLength(3)
  }
})

test('Kysely lists the tables without those of D1 itself', async () => {
  for (const [method, open] of Object.entries(methods.open)) {
    const db = new Kysely<any>({ dialect: d1Kysely(await createNotes(await open())) })
    await db.schema.createView('shown').as(db.selectFrom('notes').select('body')).execute()
    await db.schema.createTable('kysely_migration').addColumn('name', 'text').execute()
    const tables = await db.introspection.getTables()
    expect(
      tables.map(({ name, isView }) => [name, isView]),
      method,
    ).toEqual([
      ['notes', false],
      ['shown', true],
    ])
    expect(tables[0]?.columns, method).toMatchObject([
      { name: 'id', dataType: 'INTEGER', isAutoIncrementing: true, hasDefaultValue: false },
      { name: 'body', dataType: 'TEXT', isNullable: false, isAutoIncrementing: false },
    ])
    expect(await db.introspection.getTables({ withInternalKyselyTables: true }), method).toHaveLength(3)
  }
})

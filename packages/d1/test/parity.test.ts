import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { Kysely, sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type D1Database, d1Kysely } from '../src/index.ts'
import { type Ladder, startLadder } from './access-methods.ts'

let ladder: Ladder
beforeAll(async () => {
  ladder = await startLadder()
})
afterAll(() => ladder?.stop())

type Outcome = { value: unknown } | { error: string }

/** What an app sees, but for times, regions and the like. */
async function outcomeOf(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    const value = await work()
    return { value: value === undefined ? undefined : JSON.parse(JSON.stringify(value, withoutChance)) }
  } catch (error) {
    const { name, message } = error as Error
    return { error: `${name} ${message}` }
  }
}

function withoutChance(key: string, value: any): unknown {
  if (key === 'duration') return typeof value
  if (key !== 'meta') return value
  const { changes, last_row_id, changed_db } = value
  return changed_db ? { changes, last_row_id } : {}
}

/** Each is run on a database of its own after `CREATE TABLE notes` and two rows. */
const OPERATIONS: Record<string, (db: D1Database) => Promise<unknown>> = {
  all: (db) => db.prepare('SELECT * FROM notes ORDER BY id').all(),
  'all of nothing': (db) => db.prepare('SELECT * FROM notes WHERE id > 9').all(),
  'all, bound': (db) => db.prepare('SELECT * FROM notes WHERE id = ? OR body = ?').bind(1, 'two').all(),
  'run, inserting': (db) => db.prepare('INSERT INTO notes (body) VALUES (?)').bind('three').run(),
  'run, updating': (db) => db.prepare("UPDATE notes SET body = 'x'").run(),
  'run, returning': (db) => db.prepare("INSERT INTO notes (body) VALUES ('r') RETURNING id, body").run(),
  first: (db) => db.prepare('SELECT * FROM notes ORDER BY id').first(),
  'first of a column': (db) => db.prepare('SELECT * FROM notes ORDER BY id').first('body'),
  'first of no column': (db) => db.prepare('SELECT * FROM notes').first('nothing'),
  'first of no row': (db) => db.prepare('SELECT * FROM notes WHERE id > 9').first('body'),
  'first of no row at all': (db) => db.prepare('SELECT * FROM notes WHERE id > 9').first(),
  raw: (db) => db.prepare('SELECT id, body FROM notes ORDER BY id').raw(),
  'raw with names': (db) => db.prepare('SELECT id, id AS id, body FROM notes').raw({ columnNames: true }),
  'raw of nothing with names': (db) => db.prepare('SELECT id FROM notes WHERE 0').raw({ columnNames: true }),
  batch: (db) =>
    db.batch([
      db.prepare('INSERT INTO notes (body) VALUES (?)').bind('b'),
      db.prepare('SELECT count(*) AS n FROM notes'),
    ]),
  'batch that fails': async (db) => {
    const failing = [
      db.prepare("INSERT INTO notes (body) VALUES ('lost')"),
      db.prepare("INSERT INTO notes (id, body) VALUES (1, 'again')"),
    ]
    const error = await db.batch(failing).catch(({ message }: Error) => message)
    return [error, await db.prepare('SELECT count(*) AS n FROM notes').first('n')]
  },
  'batch of nothing': (db) => db.batch([]),
  exec: (db) => db.exec('CREATE TABLE more (id INTEGER);\nINSERT INTO more VALUES (1);'),
  'values of every kind': (db) =>
    db
      .prepare('SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e, ? AS f, typeof(?) AS g')
      .bind('it\'s "?"', -1.5, null, true, new Uint8Array([0, 1, 255]), new ArrayBuffer(2), 7)
      .all(),
  'bytes in a list': (db) => db.prepare('SELECT hex(?) AS h').bind([0, 255]).first('h'),
  'bytes in a column': async (db) => {
    await db.prepare('CREATE TABLE files (data BLOB)').run()
    await db
      .prepare('INSERT INTO files VALUES (?)')
      .bind(new Uint8Array([1, 2, 3]))
      .run()
    return db.prepare('SELECT typeof(data) AS t, data FROM files').all()
  },
  undefined: async (db) => db.prepare('SELECT ?').bind(undefined).all(),
  'a bigint': async (db) => db.prepare('SELECT ?').bind(1n).all(),
  'an object': async (db) => db.prepare('SELECT ?').bind({}).all(),
  'too few values': (db) => db.prepare('SELECT ?, ?').bind(1).all(),
  'a mistake': (db) => db.prepare('SELEKT 1').all(),
  'a table that is not there': (db) => db.prepare('SELECT * FROM nothing').run(),
  'a broken rule': (db) => db.prepare("INSERT INTO notes (id, body) VALUES (1, 'again')").run(),
  'another database’s file': (db) => db.prepare("ATTACH 'x' AS y").all(),
  'a trigger in lower case, with CRLF': async (db) => {
    await db
      .prepare('create trigger t after insert on notes begin\r\n update notes set body = new.body;\r\nend')
      .run()
    await db.prepare("INSERT INTO notes (body) VALUES ('t')").run()
    return db.prepare('SELECT DISTINCT body FROM notes').raw()
  },
}

async function prepared(db: D1Database): Promise<D1Database> {
  await db.batch([
    db.prepare('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)'),
    db.prepare("INSERT INTO notes (body) VALUES ('one'), ('two')"),
  ])
  return db
}

describe('code written for a binding sees the same', () => {
  test.for(Object.entries(OPERATIONS))('%s', async ([, run]) => {
    const { workerd, ...others } = ladder.open()
    const expected = await outcomeOf(async () => run(await prepared(await workerd())))
    for (const [way, open] of Object.entries(others)) {
      expect(await outcomeOf(async () => run(await prepared(await open()))), way).toEqual(expected)
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

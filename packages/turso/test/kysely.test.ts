import { type Client, createClient } from '@libsql/client/sqlite3'
import { type Generated, Kysely, sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { libsqlKysely } from '../src/file/index.ts'

interface Notes {
  id: Generated<number>
  body: string | null
  data: Uint8Array | null
  any: unknown
}

let client: Client
let db: Kysely<{ notes: Notes }>
beforeEach(async () => {
  client = createClient({ url: ':memory:' })
  db = new Kysely({ dialect: libsqlKysely(client) })
  await client.execute('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, data BLOB, any)')
})
afterEach(() => client.close())

describe('Kysely over a libSQL client', () => {
  it('binds whole numbers as integers, and the rest as they are', async () => {
    const values = [1, -0, 0, 1.5, true, false, 7n, Number.MAX_SAFE_INTEGER, 'x', null, new Uint8Array([1])]
    const types = []
    for (const any of values) {
      await db.deleteFrom('notes').execute()
      await db.insertInto('notes').values({ any }).execute()
      const row = await db
        .selectFrom('notes')
        .select(sql<string>`typeof("any")`.as('type'))
        .executeTakeFirst()
      types.push(row?.type)
    }
    expect(types).toEqual([
      ...['integer', 'real', 'integer', 'real', 'integer', 'integer', 'integer', 'integer', 'text'],
      ...['null', 'blob'],
    ])
  })

  it('returns the inserted id and the number of changed rows', async () => {
    const inserted = await db.insertInto('notes').values({ body: 'a' }).executeTakeFirst()
    expect(inserted).toMatchObject({ insertId: 1n, numInsertedOrUpdatedRows: 1n })
    const changed = await db.updateTable('notes').set({ body: 'b' }).executeTakeFirst()
    expect(changed.numUpdatedRows).toBe(1n)
    expect(await db.insertInto('notes').values({ body: 'c' }).returning('id').execute()).toEqual([{ id: 2 }])
  })

  it('returns rows as plain objects and blobs as bytes', async () => {
    await db
      .insertInto('notes')
      .values({ data: new Uint8Array([1, 2]), body: null })
      .execute()
    const rows = await db.selectFrom('notes').select(['id', 'data', 'body']).execute()
    expect(rows).toStrictEqual([{ id: 1, data: new Uint8Array([1, 2]), body: null }])
    const { rows: odd } = await sql<any>`SELECT 1 AS "__proto__", 2 AS twice, 3 AS twice`.execute(db)
    expect(Object.entries(odd[0])).toEqual([
      ['__proto__', 1],
      ['twice', 3],
    ])
    expect(Object.getPrototypeOf(odd[0])).toBe(Object.prototype)
  })

  it('commits, rolls back, and can be used after both', async () => {
    await db.transaction().execute((trx) => trx.insertInto('notes').values({ body: 'kept' }).execute())
    const failing = db.transaction().execute(async (trx) => {
      await trx.insertInto('notes').values({ body: 'lost' }).execute()
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    await db
      .transaction()
      .setAccessMode('read only')
      .execute((trx) => trx.selectFrom('notes').selectAll().execute())
    expect(await db.selectFrom('notes').select('body').execute()).toEqual([{ body: 'kept' }])
  })

  it('streams a result as one piece, introspects the tables, and does not close the client', async () => {
    await db
      .insertInto('notes')
      .values([{ body: 'a' }, { body: 'b' }])
      .execute()
    const seen = []
    for await (const row of db.selectFrom('notes').select('body').stream()) seen.push(row.body)
    expect(seen).toEqual(['a', 'b'])
    expect((await db.introspection.getTables()).map(({ name }) => name)).toEqual(['notes'])
    await db.destroy()
    expect(client.closed).toBe(false)
  })
})

import { deepEqual, equal, ok } from 'node:assert/strict'
import { sql } from 'kysely'
import { type ConformanceCase, defineCases } from '../../case.ts'
import { expectMappedError } from '../../support/expect-error.ts'
import { CREATE_NOTES, readNotes, SELECT_NOTES, toBodies, writeNote } from '../../support/notes.ts'

/** Kysely over a client, with its transactions. */
export const contractKysely: readonly ConformanceCase[] = defineCases('contract', [
  {
    name: 'reads, writes and counts changed rows through Kysely',
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      const db = t.provider.kysely(client)
      await db.schema
        .createTable('notes')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('body', 'varchar(255)', (column) => column.notNull())
        .execute()
      await writeNote(db, 1, "it's")
      await writeNote(db, 2, 'two')
      const changed = await db
        .updateTable('notes')
        .set({ body: 'zwei' })
        .where('id', '=', 2)
        .executeTakeFirst()
      equal(changed.numUpdatedRows, 1n, 'numUpdatedRows')
      equal((await db.deleteFrom('notes').where('id', '=', 99).executeTakeFirst()).numDeletedRows, 0n)
      deepEqual(await readNotes(db), ["it's", 'zwei'])
      const counted = await sql<{ n: unknown }>`SELECT count(*) AS n FROM notes WHERE id > ${1}`.execute(db)
      equal(Number(counted.rows[0]?.n), 1)
      deepEqual(toBodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)), ["it's", 'zwei'])
    },
  },
  {
    name: 'commits all statements of a Kysely transaction or none',
    skip: ({ provider }) => (provider.capabilities.transactions ? undefined : 'transactions is false'),
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      await t.provider.batch(client, [{ sql: CREATE_NOTES }])
      const db = t.provider.kysely(client)
      await db.transaction().execute(async (trx) => {
        await writeNote(trx, 1, 'one')
        deepEqual(await readNotes(trx), ['one'], 'a transaction reads its own writes')
        await writeNote(trx, 2, 'two')
      })
      const thrown = new Error('rolled back by the case')
      const caught = await db
        .transaction()
        .execute(async (trx) => {
          await writeNote(trx, 3, 'undone')
          throw thrown
        })
        .catch((error: unknown) => error)
      equal(caught, thrown, 'the transaction lost the error of its callback')
      deepEqual(toBodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)), ['one', 'two'])
    },
  },
  {
    name: 'keeps concurrent Kysely transactions of one tenant apart',
    skip: ({ provider }) => (provider.capabilities.transactions ? undefined : 'transactions is false'),
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      await t.provider.batch(client, [{ sql: CREATE_NOTES }])
      const committed: string[] = []
      const work = async (id: number): Promise<void> => {
        const body = `note ${id}`
        try {
          await t.provider
            .kysely(client)
            .transaction()
            .execute(async (trx) => {
              await writeNote(trx, id, body)
              await trx.selectFrom('notes').select('body').where('id', '=', id).executeTakeFirstOrThrow()
              if (id % 2 === 0) throw new Error('rolled back')
            })
          committed.push(body)
        } catch (error) {
          if (id % 2 === 0) return
          const { code, retryable, message } = t.provider.mapError(error)
          ok(retryable, `a concurrent transaction failed permanently: ${code} ${message}`)
        }
      }
      await Promise.all(Array.from({ length: 8 }, (_, id) => work(id)))
      ok(committed.length > 0, 'no transaction succeeded')
      deepEqual(toBodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)).sort(), committed.sort())
    },
  },
  {
    name: 'rejects a Kysely transaction when it declares no transactions',
    skip: ({ provider }) => (provider.capabilities.transactions ? 'transactions is true' : undefined),
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      await t.provider.batch(client, [{ sql: CREATE_NOTES }])
      const work = (): Promise<void> =>
        t.provider
          .kysely(client)
          .transaction()
          .execute((trx) => writeNote(trx, 1, 'written without a transaction'))
      const error = await expectMappedError('a transaction', t.provider.mapError, work)
      equal(error.code, 'not_supported')
      deepEqual(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES), [])
    },
  },
])

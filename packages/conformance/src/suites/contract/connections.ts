import { deepEqual, ok } from 'node:assert/strict'
import { TenancyError } from '@tenantry/multi-tenancy'
import { type Kysely, sql } from 'kysely'
import { type ConformanceCase, defineCases } from '../../case.ts'
import type { Harness } from '../../harness.ts'
import { expectError, expectSuccess } from '../../support/expect-error.ts'
import { FORGOTTEN_TRANSACTIONS } from '../../support/hostile-sql.ts'
import { CREATE_NOTES, insertNote, SELECT_NOTES, toBodies, writeNote } from '../../support/notes.ts'

/**
 * Without the rows of the forgotten transactions: where each statement has a connection of its own, as over HTTP, their
 * inserts are committed.
 */
const SELECT_COMMITTED = 'SELECT body FROM notes WHERE id < 90 ORDER BY id'

/** Physical connections: their identity check, their return to the pool, and concurrent writers. */
export const contractConnections: readonly ConformanceCase[] = defineCases('contract', [
  {
    name: 'verifies every physical connection before its first other use',
    skip: withoutConnectionCount,
    async run(t) {
      const { provider, call, harness, prefix } = t
      const name = `${prefix}a`
      const { locator } = await provider.create(name, call)
      let verified = 0
      let isRejecting = false
      const verify = async (): Promise<void> => {
        if (isRejecting) throw new TenancyError('wrong_tenant', 'rejected by the case')
        verified++
      }
      const client = await provider.connect({ locator, purpose: 'manage', verify }, call)
      await provider.batch(client, [{ sql: CREATE_NOTES }])
      const read = (): Promise<unknown> => provider.query(client, { sql: SELECT_NOTES })
      await Promise.all(Array.from({ length: 6 }, read))
      const open = (await harness.countConnections?.(name)) ?? 0
      if (open === 0) t.skip('no connection belongs to one database')
      ok(verified >= open, `${open} connections are open and ${verified} were verified`)
      isRejecting = true
      await expectError('a new client whose identity check fails', async () => {
        const next = await t.createProvider().connect({ locator, purpose: 'manage', verify }, call)
        return provider.query(next, { sql: SELECT_NOTES })
      })
    },
  },
  {
    name: 'returns every connection to its pool after a failed statement, batch or transaction',
    skip: withoutConnectionCount,
    async run(t) {
      const { provider, prefix, dialect } = t
      const client = await t.open(`${prefix}a`)
      await provider.batch(client, [{ sql: CREATE_NOTES }, insertNote(dialect, 1, 'first')])
      const db = provider.kysely(client)
      const failures: [string, () => Promise<unknown>][] = [
        ['a failed query', () => provider.query(client, { sql: 'SELECT * FROM missing' })],
        ['a failed batch', () => provider.batch(client, [insertNote(dialect, 1, 'duplicate key')])],
        ['a failed Kysely query', () => db.selectFrom('missing').selectAll().execute()],
      ]
      if (provider.capabilities.transactions)
        failures.push(['a failed transaction', () => db.transaction().execute(failTransaction)])
      // One more failure than there can be connections: if each keeps its connection, the next use finds none.
      const repetitions = (t.harness.connectionLimit ?? 50) + 1
      for (const [description, fail] of failures) {
        for (let repetition = 0; repetition < repetitions; repetition++) await fail().catch(() => {})
        const rows = await expectSuccess(`a query after ${repetitions} times ${description}`, () =>
          provider.query(client, { sql: SELECT_NOTES }),
        )
        deepEqual(toBodies(rows), ['first'], description)
      }
    },
  },
  {
    name: "commits a tenant's next write after the same tenant left a transaction open",
    async run(t) {
      const { provider, prefix, dialect } = t
      const name = `${prefix}a`
      const client = await t.open(name)
      await provider.batch(client, [{ sql: CREATE_NOTES }])
      const db = provider.kysely(client)
      const expected: string[] = []
      for (const [index, statements] of FORGOTTEN_TRANSACTIONS[dialect].entries()) {
        await runOnOneConnection(db, statements)
        const after = `after ${statements.join('; ')}`
        for (const [id, write] of [
          [10 * index + 1, (at: number) => provider.batch(client, [insertNote(dialect, at, 'of a batch')])],
          [10 * index + 2, (at: number) => writeNote(db, at, 'of Kysely')],
        ] as const) {
          await expectSuccess(`a write ${after}`, () => write(id))
          expected.push(id % 10 === 1 ? 'of a batch' : 'of Kysely')
          deepEqual(toBodies(await t.oracle.query(name, SELECT_COMMITTED)), expected, after)
        }
      }
    },
  },
  {
    name: 'completes concurrent writes of two processes to one tenant',
    async run(t) {
      const { provider, prefix, dialect, call } = t
      const name = `${prefix}a`
      const client = await t.open(name)
      await provider.batch(client, [{ sql: CREATE_NOTES }])
      const other = t.createProvider()
      const locator = await other.find(name, call)
      ok(locator !== undefined)
      const otherClient = await other.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
      const writers = [
        { process: 'the first process', over: provider, client },
        { process: 'the second process', over: other, client: otherClient },
      ]
      const ids = Array.from({ length: 20 }, (_, id) => id)
      await Promise.all(
        ids.map((id) => {
          const { process, over, client: writer } = writers[id % 2] ?? { process: '', over: provider, client }
          return expectSuccess(`write ${id} of ${process}`, () =>
            id % 4 < 2
              ? over.batch(writer, [insertNote(dialect, id, `note ${id}`)])
              : writeNote(over.kysely(writer), id, `note ${id}`),
          )
        }),
      )
      const rows = await t.oracle.query(name, SELECT_NOTES)
      deepEqual(
        toBodies(rows),
        ids.map((id) => `note ${id}`),
      )
    },
  },
])

function withoutConnectionCount({ countConnections }: Harness): string | undefined {
  return countConnections === undefined ? 'the harness counts no connections' : undefined
}

async function failTransaction(trx: Kysely<any>): Promise<void> {
  await writeNote(trx, 2, 'rolled back')
  throw new Error('rolled back by the case')
}

/** Runs statements on one connection, and does not expect the database to accept them. */
async function runOnOneConnection(db: Kysely<any>, statements: readonly string[]): Promise<void> {
  await db
    .connection()
    .execute(async (connection) => {
      for (const text of statements) await sql.raw(text).execute(connection)
    })
    .catch(() => {})
}

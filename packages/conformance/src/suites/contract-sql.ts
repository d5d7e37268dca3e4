import { deepEqual, equal, ok } from 'node:assert/strict'
import { inspect } from 'node:util'
import { TenancyError } from '@tenantry/multi-tenancy'
import { sql } from 'kysely'
import { refuses, refusesMapped, succeeds } from '../assert.ts'
import { type ConformanceCase, suite } from '../case.ts'
import {
  bodies,
  CREATE_NOTES,
  countTables,
  insertNote,
  readNotes,
  SELECT_NOTES,
  statement,
  TYPES,
  writeNote,
} from '../sql.ts'

/** query, batch, kysely, mapError: what a client of one database can do. */
export const contractSql: readonly ConformanceCase[] = suite('contract', [
  {
    name: 'batch runs its statements in order; an empty one succeeds',
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      await succeeds('an empty batch', () => t.provider.batch(client, []))
      await t.provider.batch(client, [
        { sql: CREATE_NOTES },
        insertNote(t.dialect, 1, 'one'),
        { sql: "UPDATE notes SET body = 'uno' WHERE id = 1" },
        insertNote(t.dialect, 2, 'two'),
      ])
      deepEqual(bodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)), ['uno', 'two'])
    },
  },
  {
    name: 'batch stops at its first error and rejects',
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      await t.provider.batch(client, [{ sql: CREATE_NOTES }, insertNote(t.dialect, 1, 'one')])
      await refusesMapped('a batch with a duplicate key', t.provider.mapError, () =>
        t.provider.batch(client, [
          insertNote(t.dialect, 1, 'again'),
          insertNote(t.dialect, 2, 'after the error'),
        ]),
      )
      deepEqual(bodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)), ['one'])
      await succeeds('the next batch', () => t.provider.batch(client, [insertNote(t.dialect, 3, 'three')]))
    },
  },
  {
    name: 'batch is atomic: a late error undoes rows and tables made before it',
    skip: ({ provider }) =>
      provider.capabilities.transactionalDdl ? undefined : 'transactionalDdl is false',
    async run(t) {
      const name = `${t.prefix}a`
      const client = await t.open(name)
      await t.provider.batch(client, [{ sql: CREATE_NOTES }])
      await refusesMapped('a batch that ends in an error', t.provider.mapError, () =>
        t.provider.batch(client, [
          insertNote(t.dialect, 1, 'undone'),
          { sql: 'CREATE TABLE undone (id INTEGER)' },
          insertNote(t.dialect, 1, 'duplicate key'),
        ]),
      )
      deepEqual(bodies(await t.oracle.query(name, SELECT_NOTES)), [], 'the row stayed')
      equal(
        Number((await t.oracle.query(name, countTables(t.dialect, 'undone')))[0]?.tables),
        0,
        'the table stayed',
      )
    },
  },
  {
    name: 'parameters of every kind arrive as they are',
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
        deepEqual([...bytesOf(row.bin)], [...bytes], 'bytes')
      }
      const { id: _, ...last } = read[texts.length] ?? {}
      for (const [column, value] of Object.entries(last)) equal(value, null, `null in ${column}`)
    },
  },
  {
    name: 'query takes parameters too, and a ? inside a literal is no placeholder',
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      const quoted = "what? 'tis $1"
      await t.provider.batch(client, [{ sql: CREATE_NOTES }, insertNote(t.dialect, 7, quoted)])
      const placeholder = t.dialect === 'postgres' ? '$1' : '?'
      const rows = await t.provider.query(client, {
        sql: `SELECT id, 'a?b' AS literal FROM notes WHERE body = ${placeholder}`,
        params: [quoted],
      })
      deepEqual(
        rows.map((row) => [Number(row.id), row.literal]),
        [[7, 'a?b']],
      )
    },
  },
  {
    name: 'kysely reads, writes and counts what it changed',
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
      deepEqual(bodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)), ["it's", 'zwei'])
    },
  },
  {
    name: 'a Kysely transaction commits all of its work or none',
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
      const thrown = new Error('changed my mind')
      const caught = await db
        .transaction()
        .execute(async (trx) => {
          await writeNote(trx, 3, 'undone')
          throw thrown
        })
        .catch((error: unknown) => error)
      equal(caught, thrown, 'the transaction lost the error of its callback')
      deepEqual(bodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)), ['one', 'two'])
    },
  },
  {
    name: 'Kysely transactions at the same time do not mix',
    skip: ({ provider }) => (provider.capabilities.transactions ? undefined : 'transactions is false'),
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      await t.provider.batch(client, [{ sql: CREATE_NOTES }])
      const kept: string[] = []
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
          kept.push(body)
        } catch (error) {
          if (id % 2 === 0) return
          const { code, retryable, message } = t.provider.mapError(error)
          ok(retryable, `a transaction in parallel failed for good: ${code} ${message}`)
        }
      }
      await Promise.all(Array.from({ length: 8 }, (_, id) => work(id)))
      ok(kept.length > 0, 'no transaction succeeded')
      deepEqual(bodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)).sort(), kept.sort())
    },
  },
  {
    name: 'a Kysely transaction is refused where transactions are not declared',
    skip: ({ provider }) => (provider.capabilities.transactions ? 'transactions is true' : undefined),
    async run(t) {
      const client = await t.open(`${t.prefix}a`)
      await t.provider.batch(client, [{ sql: CREATE_NOTES }])
      const work = (): Promise<void> =>
        t.provider
          .kysely(client)
          .transaction()
          .execute((trx) => writeNote(trx, 1, 'written without a transaction'))
      const error = await refusesMapped('a transaction', t.provider.mapError, work)
      equal(error.code, 'not_supported')
      deepEqual(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES), [])
    },
  },
  {
    name: 'mapError codes what the driver throws, keeps its cause, and leaves a TenancyError alone',
    async run(t) {
      const { provider } = t
      const client = await t.open(`${t.prefix}a`)
      await provider.batch(client, [{ sql: CREATE_NOTES }, insertNote(t.dialect, 1, 'one')])
      const mistakes = [
        'SELEKT 1',
        'SELECT * FROM missing',
        "INSERT INTO notes (id, body) VALUES (1, 'again')",
      ]
      for (const text of mistakes) {
        for (const run of [
          () => provider.query(client, { sql: text }),
          () => provider.batch(client, [{ sql: text }]),
          () => sql.raw(text).execute(provider.kysely(client)),
        ]) {
          const error = await refusesMapped(text, provider.mapError, run)
          equal(error.retryable, false, `${text}: ${error.code} says trying again helps`)
        }
      }
      const own = new TenancyError('quota_exceeded', 'as it is')
      equal(provider.mapError(own), own, 'mapError changed a TenancyError')
      for (const junk of [undefined, null, 'text', 7, {}, new Error('x', { cause: new Error('y') })])
        ok(provider.mapError(junk) instanceof TenancyError, `mapError(${inspect(junk)})`)
    },
  },
  {
    name: 'no secret shows in an error',
    skip: ({ secrets }) =>
      secrets === undefined || secrets.length === 0 ? 'the harness has no secrets' : undefined,
    async run(t) {
      const { provider, call, prefix } = t
      const client = await t.open(`${prefix}a`)
      const locator = await provider.find(`${prefix}a`, call)
      ok(locator !== undefined)
      const errors = [await caught(() => provider.query(client, { sql: 'SELECT * FROM missing' }))]
      await provider.drop(locator, call)
      errors.push(await caught(() => provider.query(client, { sql: 'SELECT 1' })))
      errors.push(await caught(() => provider.connect({ locator, verify: async () => {} }, call)))
      await provider.close()
      errors.push(await caught(() => provider.create(`${prefix}b`, call)))
      errors.push(await caught(() => provider.query(client, { sql: 'SELECT 1' })))
      for (const error of errors.filter((each) => each !== undefined)) {
        const mapped = provider.mapError(error)
        const seen = `${inspect(mapped, { depth: 10, showHidden: true })}${JSON.stringify(mapped)}${mapped.stack}`
        for (const secret of t.harness.secrets ?? []) {
          for (const form of [secret, encodeURIComponent(secret), btoa(secret)])
            ok(!seen.includes(form), `a secret shows in ${mapped.code}`)
        }
      }
    },
  },
  {
    name: 'every physical connection is verified before its first other use',
    skip: ({ openConnections }) =>
      openConnections === undefined ? 'the harness counts no connections' : undefined,
    async run(t) {
      const { provider, call, harness, prefix } = t
      const name = `${prefix}a`
      const { locator } = await provider.create(name, call)
      let verified = 0
      let refusing = false
      const verify = async (): Promise<void> => {
        if (refusing) throw new TenancyError('wrong_tenant', 'refused by the case')
        verified++
      }
      const client = await provider.connect({ locator, verify }, call)
      await provider.batch(client, [{ sql: CREATE_NOTES }])
      const before = verified
      if (before === 0) return
      const read = (): Promise<unknown> => provider.query(client, { sql: SELECT_NOTES })
      await Promise.all(Array.from({ length: 6 }, read))
      const open = (await harness.openConnections?.(name)) ?? 0
      ok(verified >= open, `${open} connections are open and ${verified} were verified`)
      refusing = true
      const late = await provider.find(name, call)
      ok(late !== undefined)
      await refuses('a new client whose identity check fails', async () => {
        const next = await t.another().connect({ locator: late, verify }, call)
        return provider.query(next, { sql: SELECT_NOTES })
      })
    },
  },
])

async function caught(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work()
    return undefined
  } catch (error) {
    return error
  }
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  if (Array.isArray(value)) return Uint8Array.from(value)
  throw new TypeError(`bytes came back as ${inspect(value)}`)
}

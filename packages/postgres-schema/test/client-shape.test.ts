import { captureError } from '@tenantry/test-support'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Kysely, sql } from 'kysely'
import { Pool, type PoolClient } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPostgresSchemaFactory, postgresKysely } from '../src/index.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { createProvider, open, type Provider } from './support.ts'

let database: TestDatabase
const providers: Provider[] = []
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(async () => {
  for (const provider of providers) await provider.close()
  await database?.drop()
})

describe.each(['role', 'set_role', 'search_path'] as const)('%s: the client of a tenant', (isolation) => {
  async function client(name: string): Promise<Pool> {
    const provider = createProvider(database, { isolation, maxConnections: 4, idleTimeout: 200 })
    providers.push(provider)
    return open(provider, `${isolation}_${name}`)
  }

  it('is a pg.Pool: promises, callbacks, configs, row arrays, events and counts', async () => {
    const pool = await client('pool')
    expect(pool).toBeInstanceOf(Pool)
    expect((await pool.query({ text: 'SELECT $1::int AS a', values: [1], rowMode: 'array' })).rows).toEqual([
      [1],
    ])
    const rows = await new Promise((resolve, reject) => {
      pool.query('SELECT body FROM notes WHERE id = $1', [1], (error, result) =>
        error ? reject(error) : resolve(result.rows),
      )
    })
    expect(rows).toEqual([{ body: `of ${isolation}_pool` }])
    const seen: string[] = []
    pool.on('acquire', () => seen.push('acquire'))
    pool.on('release', () => seen.push('release'))
    const lease = await pool.connect()
    expect(pool.totalCount).toBe(1)
    expect((await lease.query('SELECT current_schema() AS schema')).rows).toEqual([
      { schema: `${isolation}_pool` },
    ])
    lease.release()
    expect(() => lease.release()).toThrow(/already been released/)
    expect(seen).toEqual(['acquire', 'release'])
    await new Promise<void>((resolve, reject) => {
      pool.connect((error, leased, release) => {
        if (error) return reject(error)
        leased?.query('SELECT 1 AS one', (failed: unknown, result: { rows: unknown[] }) => {
          release()
          if (failed) return reject(failed)
          expect(result.rows).toEqual([{ one: 1 }])
          resolve()
        })
      })
    })
  })

  it('runs no statement on a released lease, and none after the pool has ended', async () => {
    const pool = await client('released')
    const lease: PoolClient = await pool.connect()
    lease.release()
    expect(await captureError(lease.query('SELECT * FROM notes'))).toMatchObject({ code: 'closed' })
    await pool.end()
    expect(await captureError(pool.query('SELECT 1'))).toMatchObject({ code: 'closed' })
    expect(await captureError(pool.connect())).toMatchObject({ code: 'closed' })
  })

  it.each(['pool.end()', 'pool.end() with a callback', 'db.destroy()'])(
    'serves the next request after a handler has called %s',
    async (how) => {
      const { url: connection, secret } = database
      const factory = createPostgresSchemaFactory({
        connection,
        secret,
        isolation,
        databasePrefix: `${isolation}_ended_`,
        createAdapters: (pool: Pool) => ({ pool, db: new Kysely({ dialect: postgresKysely(pool) }) }),
      })
      try {
        await factory.provision('acme')
        const { pool, db } = await factory.getAdapters('acme')
        await sql`SELECT 1`.execute(db)
        if (how === 'db.destroy()') await db.destroy()
        else if (how === 'pool.end()') await pool.end()
        else await new Promise<void>((resolve) => pool.end(resolve))
        const next = await factory.getAdapters('acme')
        expect((await next.pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
        expect((await sql`SELECT 1 AS one`.execute(next.db)).rows).toEqual([{ one: 1 }])
      } finally {
        await factory.close()
      }
    },
  )

  it('runs Drizzle, with transactions and nested transactions', async () => {
    const db = drizzle(await client('drizzle'))
    const notes = pgTable('notes', { id: integer().primaryKey(), body: text().notNull() })
    await db.transaction(
      async (tx) => {
        await tx.insert(notes).values({ id: 10, body: 'kept' })
        await tx
          .transaction(async (inner) => {
            await inner.insert(notes).values({ id: 11, body: 'undone' })
            inner.rollback()
          })
          .catch(() => {})
      },
      { isolationLevel: 'serializable' },
    )
    expect((await db.select().from(notes)).map(({ body }) => body)).toEqual([
      `of ${isolation}_drizzle`,
      'kept',
    ])
  })

  it('runs Kysely, with the isolation level and the access mode of a transaction', async () => {
    const db = new Kysely<{ notes: { id: number; body: string } }>({
      dialect: postgresKysely(await client('kysely')),
    })
    const count = await db
      .transaction()
      .setIsolationLevel('repeatable read')
      .setAccessMode('read only')
      .execute((trx) =>
        trx
          .selectFrom('notes')
          .select(({ fn }) => fn.countAll<string>().as('n'))
          .executeTakeFirstOrThrow(),
      )
    expect(count).toEqual({ n: '1' })
    await expect(
      db
        .transaction()
        .setAccessMode('read only')
        .execute((trx) => trx.insertInto('notes').values({ id: 5, body: 'x' }).execute()),
    ).rejects.toMatchObject({ code: '25006' })
  })

  it('accepts SET TRANSACTION after BEGIN, and runs deferred triggers as the tenant', async () => {
    const pool = await client('deferred')
    const lease = await pool.connect()
    await lease.query('BEGIN')
    await lease.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE')
    expect((await lease.query('SHOW transaction_isolation')).rows).toEqual([
      { transaction_isolation: 'serializable' },
    ])
    await lease.query('SELECT * FROM notes')
    await lease.query('COMMIT')
    lease.release()
    await pool.query('CREATE TABLE log (body text)')
    await pool.query(
      "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW.body || ' ' || current_schema()); RETURN NEW; END $$",
    )
    await pool.query(
      'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keep()',
    )
    await pool.query('INSERT INTO notes (id, body) VALUES ($1, $2)', [20, 'late'])
    expect((await pool.query('SELECT body FROM log')).rows).toEqual([{ body: `late ${isolation}_deferred` }])
  })

  it('stays in the tenant in a transaction that AND CHAIN begins', async () => {
    const lease = await (await client('chained')).connect()
    const readIdentity = async () =>
      (
        await lease.query('SELECT body, current_user AS role, current_setting($1) AS path FROM notes', [
          'search_path',
        ])
      ).rows
    await lease.query('BEGIN')
    const first = await readIdentity()
    expect(first).toMatchObject([{ body: `of ${isolation}_chained` }])
    await lease.query('COMMIT AND CHAIN')
    expect(await readIdentity()).toEqual(first)
    await lease.query('SELECT 1 / 0').catch(() => {})
    await lease.query('ROLLBACK WORK /* TO */ AND CHAIN')
    expect(await readIdentity()).toEqual(first)
    await lease.query('ROLLBACK TRANSACTION AND NO CHAIN')
    expect(await readIdentity()).toMatchObject([{ body: `of ${isolation}_chained` }])
    lease.release()
  })

  it('rejects COPY FROM STDIN without a stream', async () => {
    const pool = await client('copied')
    const refused = { code: 'not_supported', detail: 'COPY FROM STDIN needs a stream' }
    await expect(pool.query('COPY notes FROM STDIN')).rejects.toMatchObject(refused)
    const lease = await pool.connect()
    await lease.query('BEGIN')
    await expect(lease.query('COPY notes FROM STDIN')).rejects.toMatchObject(refused)
    await lease.query('ROLLBACK')
    expect((await lease.query('SELECT body FROM notes')).rows).toEqual([{ body: `of ${isolation}_copied` }])
    lease.release()
  })

  it.each(['COPY notes FROM STDIN', 'COPY notes FROM STDIN (FREEZE)', 'COPY seen FROM STDIN'])(
    'gives each query its own answer after %s, which has no data to send',
    async (copy) => {
      const provider = createProvider(database, { isolation, maxConnections: 1 })
      providers.push(provider)
      const pool = await open(provider, `${isolation}_answers`)
      await pool.query('CREATE OR REPLACE VIEW seen AS SELECT body FROM notes')
      const numbers = async (on: Pick<Pool, 'query'>) => {
        const all = []
        for (let at = 0; at < 4; at++)
          all.push((await on.query('SELECT $1::int AS number', [at])).rows[0]?.number)
        return all
      }
      await expect(pool.query(copy)).rejects.toThrow(/copy/i)
      expect(await numbers(pool)).toEqual([0, 1, 2, 3])
      const lease = await pool.connect()
      for (const texts of [['SELECT 1'], ['BEGIN', 'SELECT 1']]) {
        for (const text of texts) await lease.query(text)
        const failed = [lease.query(copy), lease.query('SELECT 5 AS number')]
        const [refused, next] = await Promise.allSettled(failed)
        expect(refused?.status).toBe('rejected')
        expect(next).toMatchObject({ value: { rows: [{ number: 5 }] } })
        await lease.query('ROLLBACK')
        expect(await numbers(lease)).toEqual([0, 1, 2, 3])
      }
      lease.release()
      await expect(provider.batch(pool, [{ sql: 'SELECT 1' }, { sql: copy }])).rejects.toThrow(/copy/i)
      expect(await numbers(pool)).toEqual([0, 1, 2, 3])
    },
  )

  it('causes no warning in the log of the server with the statements that it adds', async () => {
    const pool = await client('quiet')
    const lease = await pool.connect()
    const notices: unknown[] = []
    lease.on('notice', ({ message }) => notices.push(message))
    await lease.query('SELECT body FROM notes WHERE id = $1', [1])
    for (const text of ['BEGIN', 'SELECT 1', 'COMMIT']) await lease.query(text)
    lease.release()
    expect(notices).toEqual([])
  })
})

import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Kysely, sql } from 'kysely'
import { Pool, type PoolClient } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPostgresSchemaFactory, postgresKysely } from '../src/index.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { failure, open, type Provider, providerOf } from './support.ts'

let database: TestDatabase
const providers: Provider[] = []
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(async () => {
  for (const provider of providers) await provider.close()
  await database?.drop()
})

describe.each(['role', 'set_role', 'search_path'] as const)('%s: the client', (isolation) => {
  async function client(name: string): Promise<Pool> {
    const provider = providerOf(database, { isolation, maxConnections: 4, idleTimeout: 200 })
    providers.push(provider)
    return open(provider, `${isolation}_${name}`)
  }

  it('is a pg.Pool: promises, callbacks, configs, row arrays, events and counts', async () => {
    const pool = await client('pool')
    expect(pool).toBeInstanceOf(Pool)
    expect((await pool.query({ text: 'SELECT $1::int AS a', values: [1], rowMode: 'array' })).rows).toEqual([
      [1],
    ])
    const called = await new Promise((resolve, reject) => {
      pool.query('SELECT body FROM notes WHERE id = $1', [1], (error, result) =>
        error ? reject(error) : resolve(result.rows),
      )
    })
    expect(called).toEqual([{ body: `of ${isolation}_pool` }])
    const seen: string[] = []
    pool.on('acquire', () => seen.push('acquire'))
    pool.on('release', () => seen.push('release'))
    const held = await pool.connect()
    expect(pool.totalCount).toBe(1)
    expect((await held.query('SELECT current_schema() AS schema')).rows).toEqual([
      { schema: `${isolation}_pool` },
    ])
    held.release()
    expect(() => held.release()).toThrow(/already been released/)
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

  it('reaches nothing once its lease was released, and nothing new once it was ended', async () => {
    const pool = await client('released')
    const held: PoolClient = await pool.connect()
    held.release()
    expect(await failure(held.query('SELECT * FROM notes'))).toMatchObject({ code: 'closed' })
    await pool.end()
    expect(await failure(pool.query('SELECT 1'))).toMatchObject({ code: 'closed' })
    expect(await failure(pool.connect())).toMatchObject({ code: 'closed' })
  })

  it.each(['pool.end()', 'pool.end() with a callback', 'db.destroy()'])(
    'that a handler ends with %s leaves the next request served',
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

  it('runs Drizzle, transactions and nested ones too', async () => {
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

  it('runs Kysely, with settings of a transaction', async () => {
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

  it('lets a transaction say what it is after BEGIN, and runs deferred triggers as the tenant', async () => {
    const pool = await client('deferred')
    const held = await pool.connect()
    await held.query('BEGIN')
    await held.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE')
    expect((await held.query('SHOW transaction_isolation')).rows).toEqual([
      { transaction_isolation: 'serializable' },
    ])
    await held.query('SELECT * FROM notes')
    await held.query('COMMIT')
    held.release()
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

  it('stays the tenant’s in a transaction that follows another at once', async () => {
    const held = await (await client('chained')).connect()
    const who = async () =>
      (
        await held.query('SELECT body, current_user AS role, current_setting($1) AS path FROM notes', [
          'search_path',
        ])
      ).rows
    await held.query('BEGIN')
    const first = await who()
    expect(first).toMatchObject([{ body: `of ${isolation}_chained` }])
    await held.query('COMMIT AND CHAIN')
    expect(await who()).toEqual(first)
    await held.query('SELECT 1 / 0').catch(() => {})
    await held.query('ROLLBACK WORK /* TO */ AND CHAIN')
    expect(await who()).toEqual(first)
    await held.query('ROLLBACK TRANSACTION AND NO CHAIN')
    expect(await who()).toMatchObject([{ body: `of ${isolation}_chained` }])
    held.release()
  })

  it('refuses a COPY FROM STDIN that has no stream', async () => {
    const pool = await client('copied')
    const refused = { code: 'not_supported', detail: 'COPY FROM STDIN needs a stream' }
    await expect(pool.query('COPY notes FROM STDIN')).rejects.toMatchObject(refused)
    const held = await pool.connect()
    await held.query('BEGIN')
    await expect(held.query('COPY notes FROM STDIN')).rejects.toMatchObject(refused)
    await held.query('ROLLBACK')
    expect((await held.query('SELECT body FROM notes')).rows).toEqual([{ body: `of ${isolation}_copied` }])
    held.release()
  })

  it.each(['COPY notes FROM STDIN', 'COPY notes FROM STDIN (FREEZE)', 'COPY seen FROM STDIN'])(
    'gives each query its own answer after %s, which has no data to send',
    async (copy) => {
      const provider = providerOf(database, { isolation, maxConnections: 1 })
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
      const held = await pool.connect()
      for (const texts of [['SELECT 1'], ['BEGIN', 'SELECT 1']]) {
        for (const text of texts) await held.query(text)
        const failed = [held.query(copy), held.query('SELECT 5 AS number')]
        const [refused, next] = await Promise.allSettled(failed)
        expect(refused?.status).toBe('rejected')
        expect(next).toMatchObject({ value: { rows: [{ number: 5 }] } })
        await held.query('ROLLBACK')
        expect(await numbers(held)).toEqual([0, 1, 2, 3])
      }
      held.release()
      await expect(provider.batch(pool, [{ sql: 'SELECT 1' }, { sql: copy }])).rejects.toThrow(/copy/i)
      expect(await numbers(pool)).toEqual([0, 1, 2, 3])
    },
  )

  it('has nothing to warn of: what surrounds a statement leaves no line in the server’s log', async () => {
    const pool = await client('quiet')
    const held = await pool.connect()
    const notices: unknown[] = []
    held.on('notice', ({ message }) => notices.push(message))
    await held.query('SELECT body FROM notes WHERE id = $1', [1])
    for (const text of ['BEGIN', 'SELECT 1', 'COMMIT']) await held.query(text)
    held.release()
    expect(notices).toEqual([])
  })
})

import { Readable } from 'node:stream'
import { int, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { drizzle } from 'drizzle-orm/mysql2'
import { Kysely, sql } from 'kysely'
import { raw } from 'mysql2'
import type { Pool, RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { createMysqlFactory, mysqlKysely } from '../src/index.ts'
import { SECRET } from './harness.ts'
import { startRelay } from './relay.ts'
import { call, createTestEnvironment, type TestEnvironment } from './support.ts'

let environment: TestEnvironment
let client: Pool
beforeAll(() => {
  environment = createTestEnvironment()
})
afterAll(() => environment?.end())
beforeEach(async () => {
  ;({ client } = await environment.open('client'))
  await client.query('DELETE FROM notes')
})

const ONE = "INSERT INTO notes VALUES (1, 'one')"

async function bodies(): Promise<unknown[]> {
  const [rows] = await client.query<RowDataPacket[]>('SELECT body FROM notes ORDER BY id')
  return rows.map(({ body }) => body)
}

describe('the pool', () => {
  it('has the shape of mysql2/promise', async () => {
    const [result] = await client.query('INSERT INTO notes VALUES (?, ?)', [1, "it's"])
    expect(result).toMatchObject({ affectedRows: 1 })
    const [rows, fields] = await client.execute('SELECT * FROM notes WHERE id = ?', [1])
    expect(rows).toEqual([{ id: 1, body: "it's" }])
    expect(fields.map(({ name }) => name)).toEqual(['id', 'body'])
    const [arrays] = await client.query({ sql: 'SELECT id, body FROM notes', rowsAsArray: true })
    expect(arrays).toEqual([[1, "it's"]])
    expect(client.escape("it's")).toBe("'it\\'s'")
    await expect(client.query(ONE)).rejects.toMatchObject({ code: 'ER_DUP_ENTRY', errno: 1062 })
    await expect(client.execute('SELECT * FROM missing')).rejects.toMatchObject({ code: 'ER_NO_SUCH_TABLE' })
  })

  it('lends connections with transactions and prepared statements, which end with the release', async () => {
    const lease = await client.getConnection()
    await lease.beginTransaction()
    await lease.execute(ONE)
    await lease.rollback()
    const statement = await lease.prepare('INSERT INTO notes VALUES (?, ?)')
    await statement.execute([2, 'two'])
    await statement.close()
    await lease.ping()
    expect(JSON.stringify(lease.config)).not.toContain('aA1_')
    lease.release()
    lease.release()
    await expect(lease.query('SELECT 1')).rejects.toMatchObject({ code: 'closed' })
    expect(await bodies()).toEqual(['two'])
  })

  it('closes prepared statements with their lease, and waits for a statement that still runs', async () => {
    const lease = await client.getConnection()
    const statement = await lease.prepare('SELECT SLEEP(?) AS slept')
    expect((await statement.execute([0]))[0]).toEqual([{ slept: 0 }])
    const running = (statement.execute([0.1]) as unknown as Promise<unknown>).catch(({ code }) => code)
    lease.release()
    expect(await running).toBe('provider_unavailable')
    await expect(statement.execute([0])).rejects.toMatchObject({ code: 'closed' })
    await statement.close()
  })

  it('restores the database of the tenant after a reset, also when a USE was sent during the reset', async () => {
    const { client: own } = await environment.open('reset', environment.another({ maxConnections: 1 }))
    const lease = await own.getConnection()
    const reset = lease.reset()
    await lease.query('USE information_schema')
    await reset
    lease.release()
    expect((await own.query('SELECT DATABASE() AS d'))[0]).toEqual([{ d: `${environment.prefix}reset` }])
  })

  it('serves the next query when a lease left its connection paused', async () => {
    const { client: own } = await environment.open('paused', environment.another({ maxConnections: 1 }))
    const lease = await own.getConnection()
    lease.connection.pause()
    lease.release()
    expect((await own.query('SELECT 1 AS one'))[0]).toEqual([{ one: 1 }])
  })

  it('never sends a file of the app to the server, by query, execute or batch', async () => {
    const { username: user, hostname: host, port } = new URL(inject('mysqlUrl'))
    const infileStreamFactory = () => Readable.from([Buffer.from('1\tof the app')])
    const connection = { user, host, port: Number(port || 3306), infileStreamFactory, flags: ['LOCAL_FILES'] }
    const provider = environment.another({ connection, maxConnections: 1 })
    const { client: own } = await environment.open('local', provider)
    const sql = "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE notes"
    for (const run of [
      () => own.query(sql),
      () => own.execute(sql),
      () => provider.batch(own, [{ sql }, { sql: 'SELECT 1' }]),
    ])
      await expect(run()).rejects.toMatchObject({ errno: 4166 })
    expect((await own.query('SELECT * FROM notes'))[0]).toEqual([])
  })

  it('emits connection once for each physical connection of the tenant, acquire and release for each lease', async () => {
    const provider = environment.another({ maxConnections: 1 })
    const { client: own } = await environment.open('events', provider)
    const { client: other } = await environment.open('other-events', provider)
    const events: string[] = []
    for (const event of ['connection', 'acquire', 'release', 'enqueue'] as const)
      own.pool.on(event as 'connection', (connection) => events.push(`${event} ${connection?.threadId}`))
    const [rows] = await own.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id')
    const id = rows[0]?.id
    expect(events).toEqual([`connection ${id}`, `acquire ${id}`, `release ${id}`])
    await other.query('SELECT 1')
    const lease = await own.getConnection()
    await lease.query('SELECT 1')
    lease.release()
    expect(events.slice(3)).toEqual([`acquire ${id}`, `release ${id}`])
    events.length = 0
    await environment.sql(`KILL CONNECTION ${id}`)
    // The provider may not have seen the end of the first connection yet.
    await own.query('SELECT 1').catch(() => {})
    const [[next]] = await own.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id')
    expect(next?.id).not.toBe(id)
    expect(events.filter((event) => event === `connection ${next?.id}`)).toHaveLength(1)
  })

  it('refuses changeUser, and several statements in one call', async () => {
    const lease = await client.getConnection()
    await expect(lease.changeUser({ user: 'root', password: '' })).rejects.toMatchObject({
      code: 'not_supported',
    })
    await expect(lease.query('SELECT 1; SELECT 2')).rejects.toMatchObject({ errno: 1064 })
    await lease.query('SET @x = 1')
    await lease.reset()
    expect((await lease.query('SELECT @x AS x'))[0]).toEqual([{ x: null }])
    lease.release()
  })

  it('ends one client without the other clients of the same tenant', async () => {
    const { client: other } = await environment.open('client')
    await other.end()
    await expect(other.query('SELECT 1')).rejects.toMatchObject({ code: 'closed' })
    expect(await bodies()).toEqual([])
  })

  it.each(['pool.end()', 'end() of the callback pool', 'db.destroy()'])(
    'serves the next request after a handler ended it with %s',
    async (how) => {
      const factory = createMysqlFactory({
        connection: inject('mysqlUrl'),
        secret: SECRET,
        registry: environment.registry,
        databasePrefix: environment.prefix,
        createAdapters: (pool) => ({ pool, db: new Kysely({ dialect: mysqlKysely(pool) }) }),
      })
      try {
        await factory.provision('ended')
        const { pool, db } = await factory.getAdapters('ended')
        if (how === 'db.destroy()') await sql`SELECT 1`.execute(db)
        if (how === 'pool.end()') await pool.end()
        else if (how === 'db.destroy()') await db.destroy()
        else await new Promise((resolve) => pool.pool.end(resolve))
        const next = await factory.getAdapters('ended')
        expect((await next.pool.query('SELECT 1 AS one'))[0]).toEqual([{ one: 1 }])
        expect((await sql`SELECT 1 AS one`.execute(next.db)).rows).toEqual([{ one: 1 }])
      } finally {
        await factory.close()
      }
    },
  )

  it('has the callback pool, with streams', async () => {
    await client.query(ONE)
    const rows = await new Promise((resolve, reject) => {
      client.pool.query('SELECT body FROM notes', (error: unknown, found: unknown) =>
        error ? reject(error) : resolve(found),
      )
    })
    expect(rows).toEqual([{ body: 'one' }])
    const streamed: unknown[] = []
    for await (const row of client.pool.query('SELECT body FROM notes').stream()) streamed.push(row)
    expect(streamed).toEqual([{ body: 'one' }])
  })
})

describe('an error of a statement is the error of the driver', () => {
  it('for a deadlock, so that an app can repeat its transaction', async () => {
    await client.query("INSERT INTO notes VALUES (1, 'one'), (2, 'two')")
    const [first, second] = [await client.getConnection(), await client.getConnection()]
    for (const [each, id] of [
      [first, 1],
      [second, 2],
    ] as const) {
      await each.beginTransaction()
      await each.query('UPDATE notes SET body = ? WHERE id = ?', ['locked', id])
    }
    const outcomes = await Promise.allSettled([
      first.query("UPDATE notes SET body = 'first' WHERE id = 2"),
      second.query("UPDATE notes SET body = 'second' WHERE id = 1"),
    ])
    for (const each of [first, second]) {
      await each.rollback()
      each.release()
    }
    const [victim] = outcomes.filter(({ status }) => status === 'rejected')
    expect(victim).toMatchObject({
      reason: {
        code: 'ER_LOCK_DEADLOCK',
        errno: 1213,
        sqlState: '40001',
        sql: expect.stringContaining('UPDATE'),
      },
    })
  })

  it.each([
    ['a lock that is not free', 'SELECT * FROM notes WHERE id = 1 FOR UPDATE NOWAIT', { code: 'ER_LOCK_WAIT_TIMEOUT', errno: 1205 }],
    ['a time limit of the server', 'SET STATEMENT max_statement_time = 0.01 FOR SELECT SLEEP(5)', { errno: 1969 }],
    ['a time limit of the query', { sql: 'SELECT SLEEP(5)', timeout: 20 }, { code: 'PROTOCOL_SEQUENCE_TIMEOUT' }],
    ['a read-only transaction', 'INSERT INTO notes VALUES (9, "x")', { errno: 1792 }],
    ['a value that the app cannot read', { sql: 'SELECT 1 AS one', typeCast: () => { throw new RangeError('unreadable') } }, { name: 'RangeError' }],
  ] as const)('for %s', async (what, sql, expected) => {
    await client.query(ONE)
    const [blocker, own] = [await client.getConnection(), await client.getConnection()]
    await blocker.beginTransaction()
    await blocker.query("UPDATE notes SET body = 'locked' WHERE id = 1")
    if (what === 'a read-only transaction') await own.query('START TRANSACTION READ ONLY')
    const error = await own.query(sql as string).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject(expected)
    expect(error).not.toHaveProperty('retryable')
    own.release()
    await blocker.rollback()
    blocker.release()
    expect(await bodies()).toEqual(['one'])
  }) // biome-ignore format: a table
})

describe('with builders', () => {
  it('Kysely reads, writes, streams, and rolls back', async () => {
    const db = new Kysely<{ notes: { id: number; body: string } }>({ dialect: mysqlKysely(client) })
    await db
      .insertInto('notes')
      .values([
        { id: 1, body: 'one' },
        { id: 2, body: 'two' },
      ])
      .execute()
    await db
      .transaction()
      .execute(async (trx) => {
        await trx.deleteFrom('notes').execute()
        throw new Error('changed my mind')
      })
      .catch(() => {})
    const seen: string[] = []
    for await (const { body } of db.selectFrom('notes').selectAll().orderBy('id').stream()) seen.push(body)
    expect(seen).toEqual(['one', 'two'])
    expect((await sql<{ d: string }>`SELECT DATABASE() AS d`.execute(db)).rows[0]?.d).toBe(
      `${environment.prefix}client`,
    )
    await expect(sql`SELECT * FROM missing`.execute(db)).rejects.toMatchObject({ code: 'ER_NO_SUCH_TABLE' })
  })

  it('Drizzle reads, writes and rolls back', async () => {
    const notes = mysqlTable('notes', { id: int().primaryKey(), body: varchar({ length: 100 }) })
    const db = drizzle(client)
    await db.insert(notes).values({ id: 1, body: 'one' })
    await db
      .transaction(async (tx) => {
        await tx.insert(notes).values({ id: 2, body: 'two' })
        tx.rollback()
      })
      .catch(() => {})
    expect(await db.select().from(notes)).toEqual([{ id: 1, body: 'one' }])
  })
})

describe('a statement on a destroyed connection', () => {
  const SLOW = "INSERT INTO notes SELECT 1, CONCAT('written', SLEEP(2))"

  /** The statements that the server runs for the tenant now. */
  const listRunning = (name: string) =>
    environment.sql(
      "SELECT id FROM information_schema.processlist WHERE db = ? AND info LIKE 'INSERT INTO notes SELECT%'",
      [environment.prefix + name],
    )

  it.each([1, 5])(
    'is cancelled on the server before it is reported (%i connections)',
    async (maxConnections) => {
      const { client: own } = await environment.open('destroyed', environment.another({ maxConnections }))
      await own.query('DELETE FROM notes')
      const lease = await own.getConnection()
      const outcome = lease.query(SLOW).catch((error: unknown) => error)
      while ((await listRunning('destroyed')).length === 0);
      lease.destroy()
      expect(await outcome).toMatchObject({
        code: 'provider_unavailable',
        message: expect.stringContaining('was cancelled'),
      })
      while ((await listRunning('destroyed')).length > 0);
      expect((await own.query('SELECT * FROM notes'))[0]).toEqual([])
    },
  )

  it('is not reported as cancelled when the server had ended the connection', async () => {
    const { client: own } = await environment.open('finished', environment.another({ maxConnections: 2 }))
    await own.query('DELETE FROM notes')
    const lease = await own.getConnection()
    const outcome = lease.query('SELECT SLEEP(60)').catch((error: unknown) => error)
    // The server has ended the connection, and the client does not know it yet.
    const met = new Promise<void>((resolve) => lease.connection.once('end', resolve))
    await environment.sql(`KILL CONNECTION ${lease.threadId}`)
    lease.destroy()
    expect(await outcome).toMatchObject({ code: 'provider_unavailable' })
    expect(String((await outcome) as Error)).not.toContain('was cancelled')
    await Promise.race([met, outcome])
  })

  it('writes nothing when Kysely aborts it with the strategy "kill session"', async () => {
    const { client: own } = await environment.open('killed', environment.another({ maxConnections: 2 }))
    await own.query('DELETE FROM notes')
    const db = new Kysely({ dialect: mysqlKysely(own) })
    const controller = new AbortController()
    const options = { signal: controller.signal, inflightQueryAbortStrategy: 'kill session' } as const
    const outcome = db.executeQuery(sql.raw(SLOW).compile(db), options).catch((error: unknown) => error)
    while ((await listRunning('killed')).length === 0);
    controller.abort(new Error('given up'))
    expect(await outcome).toMatchObject({ message: 'given up' })
    while ((await listRunning('killed')).length > 0);
    expect((await own.query('SELECT * FROM notes'))[0]).toEqual([])
  })
})

describe('a connection that fails', () => {
  it('rejects its running query, and the next query gets another connection', async () => {
    const { client: own } = await environment.open('fails', environment.another({ maxConnections: 1 }))
    const lease = await own.getConnection()
    const waiting = lease.query('SELECT SLEEP(30)').catch((error: { code: string }) => error.code)
    // Wait until the server runs the statement.
    let rows: RowDataPacket[] = []
    while (rows.length === 0)
      rows = await environment.sql(
        "SELECT id FROM information_schema.processlist WHERE db = ? AND info LIKE 'SELECT SLEEP%'",
        [`${environment.prefix}fails`],
      )
    await environment.sql(`KILL CONNECTION ${rows[0]?.id}`)
    expect(await waiting).toBe('provider_unavailable')
    lease.release()
    expect((await own.query('SELECT 1 AS one'))[0]).toEqual([{ one: 1 }])
  })

  it('is not lent again after it ended while idle, and later queries succeed', async () => {
    const { client: own } = await environment.open('idle', environment.another({ maxConnections: 1 }))
    await own.query('SELECT 1')
    const listConnections = () =>
      environment.sql('SELECT id FROM information_schema.processlist WHERE db = ?', [
        `${environment.prefix}idle`,
      ])
    // During a change of user a connection has no database.
    let rows = await listConnections()
    while (rows.length === 0) rows = await listConnections()
    for (const { id } of rows) await environment.sql(`KILL CONNECTION ${id}`)
    while ((await listConnections()).length > 0);
    const answers = await Promise.allSettled([own.query('SELECT 1 AS one'), own.query('SELECT 1 AS one')])
    expect(answers.some(({ status }) => status === 'fulfilled')).toBe(true)
    expect((await own.query('SELECT 1 AS one'))[0]).toEqual([{ one: 1 }])
  })

  it('is closed after a query timed out, and no other query receives the late answer', async () => {
    const { client: own } = await environment.open('late', environment.another({ maxConnections: 1 }))
    const slow = own.query({ sql: "SELECT SLEEP(0.2), 'late' AS answer", timeout: 20 })
    await expect(slow).rejects.toMatchObject({ code: 'PROTOCOL_SEQUENCE_TIMEOUT' })
    for (let at = 0; at < 20; at++)
      expect((await own.query('SELECT ? AS answer', [at]))[0]).toEqual([{ answer: at }])
    // A query that takes longer does not delay the next one either.
    const slower = own.query({ sql: 'SELECT SLEEP(30)', timeout: 20 })
    await expect(slower).rejects.toMatchObject({ code: 'PROTOCOL_SEQUENCE_TIMEOUT' })
    expect((await own.query('SELECT 1 AS one'))[0]).toEqual([{ one: 1 }])
  })

  it('is closed when its rows cannot be read, and no other query receives the remaining rows', async () => {
    const provider = environment.another({ maxConnections: 1 })
    const [alice, bob] = [await environment.open('alice', provider), await environment.open('bob', provider)]
    const typeCast = () => {
      throw new Error('unreadable')
    }
    // Wide enough for the server to send each row by itself.
    const sql = "SELECT '' AS a, REPEAT('x', 20000) AS b, SLEEP(0.05) AS c FROM seq_1_to_5"
    const rows = alice.client.pool.query({ sql, typeCast }).stream()
    await expect(rows.toArray()).rejects.toThrow('unreadable')
    for (const { client: each, name } of [alice, bob])
      expect((await each.query('SELECT DATABASE() AS d'))[0]).toEqual([{ d: name }])
  })

  it('is not lent again after a message that exceeds max_allowed_packet', async () => {
    const { client: own } = await environment.open('large', environment.another({ maxConnections: 1 }))
    const [[row]] = await own.query<RowDataPacket[]>('SELECT @@max_allowed_packet AS most')
    const large = 'x'.repeat(Number(row?.most) + 1)
    await expect(own.query('SELECT LENGTH(?)', [large])).rejects.toMatchObject({
      code: 'provider_unavailable',
    })
    expect((await own.query('SELECT 1 AS one'))[0]).toEqual([{ one: 1 }])
  })

  it('is destroyed when its change of user fails, and the pool serves further queries', async () => {
    const provider = environment.another({ maxConnections: 1 })
    const [alice, bob] = [await environment.open('alice', provider), await environment.open('bob', provider)]
    await alice.client.query('SELECT 1')
    await environment.sql('ALTER USER ?@? ACCOUNT LOCK', [environment.userName(bob.locator), '%'])
    await expect(bob.client.query('SELECT 1')).rejects.toMatchObject({ code: 'provider_unavailable' })
    expect((await alice.client.query('SELECT DATABASE() AS d'))[0]).toEqual([{ d: alice.name }])
    await environment.sql('ALTER USER ?@? ACCOUNT UNLOCK', [environment.userName(bob.locator), '%'])
    expect((await bob.client.query('SELECT DATABASE() AS d'))[0]).toEqual([{ d: bob.name }])
  })
})

describe('the check of the database', () => {
  it.each([
    // With a user per tenant, the server admits a login to the database of its tenant only.
    { isolation: 'user', expected: ['a va', 'a2 va', 'b vb'] },
    { isolation: 'shared', expected: ['a va', 'a2 va', 'b vb', 'a va'] },
  ] as const)(
    'runs once for each client and connection, and with one user also after each change of tenant: $isolation',
    async ({ isolation, expected }) => {
      const provider = environment.another({ maxConnections: 1, isolation })
      const seen: string[] = []
      const connect = async (name: string, mark: string) => {
        const { locator } = await provider.create(environment.prefix + isolation + name, call)
        return provider.connect(
          {
            locator,
            purpose: 'serve',
            async verify(query) {
              const [row] = await query({ sql: 'SELECT DATABASE() AS d' })
              seen.push(`${mark} ${String(row?.d).slice(environment.prefix.length + isolation.length)}`)
            },
          },
          call,
        )
      }
      const [a, a2, b] = [await connect('va', 'a'), await connect('va', 'a2'), await connect('vb', 'b')]
      for (const each of [a, a, a2, b, a, a]) await each.query('SELECT 1')
      expect(seen).toEqual(expected)
    },
  )

  it('runs beforeUse before each lease', async () => {
    const { locator } = await environment.provider.create(`${environment.prefix}client`, call)
    let admitted = true
    const own = await environment.provider.connect(
      {
        locator,
        purpose: 'serve',
        verify: async () => {},
        beforeUse() {
          if (!admitted) throw Object.assign(new Error('not now'), { code: 'nope' })
        },
      },
      call,
    )
    await own.query('SELECT 1')
    admitted = false
    await expect(own.query('SELECT 1')).rejects.toThrow('not now')
    await expect(own.getConnection()).rejects.toThrow('not now')
  })
})

it('a session is reset after a query with a value that contains SQL', async () => {
  const { client: own } = await environment.open(
    'raw',
    environment.another({ cleaning: 'needed', maxConnections: 1 }),
  )
  const left = raw("@left := 'leaked'")
  for (const [sql, values] of [
    ['SELECT ?', [left]],
    ['SELECT ?', [[[left]]]],
    ['INSERT INTO notes SET ?', [{ id: 1, body: left }]],
  ] as const) {
    await own.query(sql, [...values])
    expect((await own.query('SELECT @left AS v'))[0]).toEqual([{ v: null }])
  }
})

it.each([
  ['a port that refuses', 'mysql://root@localhost:1', 'provider_unavailable', /ECONNREFUSED/],
  [
    'a host without an address',
    'mysql://root@no-such-host.invalid',
    'provider_unavailable',
    /no-such-host\.invalid/,
  ],
  ['a login that is refused', undefined, 'credentials_rejected', /no-such-administrator/],
] as const)('%s is reported without a delay, and by name', async (_, url, code, message) => {
  const refused = new URL(inject('mysqlUrl'))
  refused.username = 'no-such-administrator'
  refused.password = 'wrong'
  const provider = environment.another({ connection: url ?? refused.href })
  const began = performance.now()
  const error = await provider.find('tenant_x', call).catch((thrown: unknown) => provider.mapError(thrown))
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
  expect(performance.now() - began).toBeLessThan(3_000)
})

it('a server that does not answer gives a retryable error within the time limits', async () => {
  const relay = await startRelay('mysql://127.0.0.1:9')
  const provider = environment.another({
    connection: `mysql://root@127.0.0.1:${relay.port}`,
    connectTimeout: 300,
    queueTimeout: 300,
  })
  const error = await provider.find('tenant_x', call).catch((thrown: unknown) => provider.mapError(thrown))
  expect(error).toMatchObject({ retryable: true })
  await relay.close()
})

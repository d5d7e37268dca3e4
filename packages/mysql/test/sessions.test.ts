import { once } from 'node:events'
import type { Pool } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { openConnection } from '../src/connections/connection.ts'
import { deriveUserPassword } from '../src/connections/credentials.ts'
import { resetSession } from '../src/connections/reset.ts'
import { SECRET } from './harness.ts'
import { HIDDEN, HIDDEN_CLEAN_UP, LEFT, POLLUTERS, pollute, snapshot } from './polluters.ts'
import { createTestEnvironment, type TestEnvironment } from './support.ts'

/** Resolves when the tenant's sessions are idle and hold no lock, so their resets have ended. */
async function untilIdle(environment: TestEnvironment, database: string): Promise<void> {
  for (let left = true; left; ) {
    const [row] = await environment.sql(
      `SELECT count(*) AS n FROM information_schema.processlist p WHERE db = ? AND (command <> 'Sleep' OR IS_USED_LOCK('${LEFT}') = id)`,
      [database],
    )
    left = Number(row?.n) > 0
  }
}

for (const isolation of ['user', 'shared'] as const) {
  describe(`${isolation}: with a single connection`, () => {
    let environment: TestEnvironment
    beforeAll(() => {
      environment = createTestEnvironment({ isolation, maxConnections: 1 })
    })
    afterAll(() => environment?.end())

    for (const [what, statements] of Object.entries(POLLUTERS)) {
      for (const by of ['query', 'getConnection'] as const) {
        for (const next of ['the same tenant', 'another tenant'] as const) {
          it(`${what}, left by a ${by}, does not reach the next lease of ${next}`, async () => {
            const alice = await environment.open('alice')
            const other = next === 'the same tenant' ? alice : await environment.open('bob')
            const fresh = await snapshot(other.client)
            if (by === 'query') await pollute(alice.client, statements)
            else {
              const lease = await alice.client.getConnection()
              await pollute(lease, statements)
              lease.release()
            }
            expect((await snapshot(other.client)).state).toEqual(fresh.state)
            const lock = await environment.sql(`SELECT IS_USED_LOCK('${LEFT}') AS holder`)
            expect(lock[0]?.holder).toBeNull()
          })
        }
      }
    }

    for (const [what, { before, plain }] of Object.entries(HIDDEN)) {
      for (const when of ['immediately', 'after the reset'] as const) {
        it(`${what} of a plain statement does not reach the next lease ${when}`, async () => {
          const { client, name } = await environment.open('alice')
          for (const text of before) await client.query(text)
          try {
            const fresh = await snapshot(client)
            await client.query(plain)
            // A reset in the background begins when no query follows immediately.
            if (when === 'after the reset') await untilIdle(environment, name)
            expect(await snapshot(client)).toEqual(fresh)
          } finally {
            for (const text of HIDDEN_CLEAN_UP) await client.query(text)
          }
        })
      }
    }

    it.each(['alice', 'bob'])(
      'a pending reset of a released lease does not run inside the next lease, of %s',
      async (next) => {
        const [alice, other] = [await environment.open('alice'), await environment.open(next)]
        await alice.client.query('SELECT 1')
        const lease = await other.client.getConnection()
        await lease.query('SET @mine = 1')
        // Several turns of the event loop, in which a pending reset would run.
        for (let turn = 0; turn < 3; turn++) await environment.sql('SELECT 1')
        expect((await lease.query('SELECT @mine AS mine'))[0]).toEqual([{ mine: 1 }])
        lease.release()
      },
    )

    it('the connection stays the same after a change of tenant', async () => {
      const [alice, bob] = [await environment.open('alice'), await environment.open('bob')]
      const first = await snapshot(alice.client)
      await pollute(alice.client, ["SET @left = 'leaked'"])
      const second = await snapshot(bob.client)
      const third = await snapshot(alice.client)
      expect([second.id, third.id]).toEqual([first.id, first.id])
    })
  })
}

describe('state that COM_CHANGE_USER keeps on MariaDB does not reach another tenant:', () => {
  let environment: TestEnvironment
  let alice: Pool
  let bob: Pool
  beforeAll(async () => {
    environment = createTestEnvironment({ maxConnections: 1 })
    alice = (await environment.open('alice')).client
    bob = (await environment.open('bob')).client
  })
  afterAll(() => environment?.end())

  it.each([false, true])(
    'a running profiler, which would show the statements of the next tenant (compressed: %s)',
    async (compress) => {
      const { username: user, hostname: host, port } = new URL(inject('mysqlUrl'))
      const connection = { user, host, port: Number(port || 3306), compress }
      const provider = environment.another({ maxConnections: 1, connection })
      const [one, other] = [
        await environment.open('alice', provider),
        await environment.open('bob', provider),
      ]
      await one.client.query('SET profiling = 1')
      const lease = await other.client.getConnection()
      await lease.query("SELECT 'secret of bob'")
      expect((await lease.query('SHOW PROFILES'))[0]).toEqual([])
      lease.release()
      expect((await one.client.query('SHOW PROFILES'))[0]).toEqual([])
    },
  )

  it('the statements in the profiler', async () => {
    const lease = await alice.getConnection()
    await lease.query('SET profiling = 1')
    await lease.query("SELECT 'secret of alice'")
    expect(JSON.stringify(await lease.query('SHOW PROFILES'))).toContain('secret of alice')
    lease.release()
    expect((await bob.query('SHOW PROFILES'))[0]).toEqual([])
  })

  it('the number of FOUND_ROWS()', async () => {
    await bob.query('SELECT 1')
    await alice.query('SELECT 1 UNION SELECT 2 UNION SELECT 3')
    expect((await bob.query('SELECT FOUND_ROWS() <= 1 AS fine'))[0]).toEqual([{ fine: 1 }])
  })

  it('the timeout of a write', async () => {
    await alice.query('SET net_write_timeout = 1')
    const rows = bob.pool.query("SELECT REPEAT('x', 10000) AS x FROM seq_1_to_5000").stream()
    await once(rows, 'readable')
    // The server counts whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    let count = 0
    for await (const _ of rows) count++
    expect(count).toBe(5_000)
  })

  it.each(['alice', 'bob'])(
    'a prepared XA transaction, under which the server refuses every statement: %s',
    async (next) => {
      const provider = environment.another({ maxConnections: 1 })
      const one = await environment.open('alice', provider)
      const other = await environment.open(next, provider)
      const xid = `'${environment.prefix}${next}'`
      const lease = await one.client.getConnection()
      try {
        const insert = `INSERT INTO notes VALUES (${next.length}, 'prepared')`
        for (const sql of [`XA START ${xid}`, insert, `XA END ${xid}`, `XA PREPARE ${xid}`])
          await lease.query(sql)
        lease.release()
        expect((await other.client.query('SELECT * FROM notes'))[0]).toEqual([])
      } finally {
        await provider.close()
        await environment.rollBack(xid, lease.threadId)
      }
    },
  )
})

it('COM_RESET_CONNECTION, which follows plain statements, clears all but the database', async () => {
  const environment = createTestEnvironment()
  const { locator, name } = await environment.open('alice')
  const { hostname: host, port } = new URL(inject('mysqlUrl'))
  const user = environment.userName(locator)
  const connection = await openConnection({
    kind: 'tenant',
    options: { host, port: Number(port || 3306) },
    login: { user, database: name, password: await deriveUserPassword(SECRET, user) },
    signal: new AbortController().signal,
    onEnd() {},
  })
  const own = connection.driver.promise()
  const fresh = await snapshot(own)
  for (const [what, statements] of Object.entries(POLLUTERS)) {
    await pollute(own, statements)
    // Stands for a statement with a text that does not show its effect on the session.
    connection.taint = 'plain'
    await resetSession(connection)
    if (what.startsWith('another database')) {
      expect((await own.query('SELECT DATABASE() AS db'))[0], what).toEqual([{ db: 'information_schema' }])
      await own.query(`USE \`${name}\``)
    }
    expect(await snapshot(own), what).toEqual(fresh)
  }
  await own.end()
  await environment.end()
})

describe('cleaning: needed', () => {
  let environment: TestEnvironment
  beforeAll(() => {
    environment = createTestEnvironment({ cleaning: 'needed', maxConnections: 1 })
  })
  afterAll(() => environment?.end())
  // The option allows the leftovers of triggers between two leases of the same tenant.
  const entries = Object.entries(POLLUTERS).filter(([what]) => what !== 'a user variable from a trigger')

  it.each(entries)('%s does not reach the next lease', async (_, statements) => {
    const { client } = await environment.open('alice')
    const fresh = await snapshot(client)
    await pollute(client, statements)
    expect((await snapshot(client)).state).toEqual(fresh.state)
  })

  it('a variable that a trigger set does not reach another tenant', async () => {
    const [alice, bob] = [await environment.open('alice'), await environment.open('bob')]
    await pollute(alice.client, [
      "CREATE TRIGGER notes_left BEFORE INSERT ON notes FOR EACH ROW SET @left = 'leaked'",
      "INSERT INTO notes VALUES (7, 'seven')",
    ])
    expect((await bob.client.query('SELECT @left AS variable'))[0]).toEqual([{ variable: null }])
  })
})

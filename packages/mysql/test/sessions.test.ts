import { once } from 'node:events'
import type { Pool } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { openConnection } from '../src/connections/connection.ts'
import { deriveUserPassword } from '../src/connections/credentials.ts'
import { resetSession } from '../src/connections/reset.ts'
import { SECRET } from './harness.ts'
import { HIDDEN, HIDDEN_CLEAN_UP, LEFT, POLLUTERS, pollute, snapshot } from './polluters.ts'
import { createWorld, type World } from './support.ts'

/** Resolves when the tenant's sessions have shown the server nothing but themselves being made like new. */
async function untilIdle(world: World, database: string): Promise<void> {
  for (let left = true; left; ) {
    const [row] = await world.sql(
      `SELECT count(*) AS n FROM information_schema.processlist p WHERE db = ? AND (command <> 'Sleep' OR IS_USED_LOCK('${LEFT}') = id)`,
      [database],
    )
    left = Number(row?.n) > 0
  }
}

for (const isolation of ['user', 'shared'] as const) {
  describe(`${isolation}: with a single connection`, () => {
    let world: World
    beforeAll(() => {
      world = createWorld({ isolation, maxConnections: 1 })
    })
    afterAll(() => world?.end())

    for (const [what, statements] of Object.entries(POLLUTERS)) {
      for (const by of ['query', 'getConnection'] as const) {
        for (const next of ['the same tenant', 'another tenant'] as const) {
          it(`${what}, left by a ${by}, does not reach the next lease of ${next}`, async () => {
            const alice = await world.open('alice')
            const other = next === 'the same tenant' ? alice : await world.open('bob')
            const fresh = await snapshot(other.client)
            if (by === 'query') await pollute(alice.client, statements)
            else {
              const held = await alice.client.getConnection()
              await pollute(held, statements)
              held.release()
            }
            expect((await snapshot(other.client)).state).toEqual(fresh.state)
            const lock = await world.sql(`SELECT IS_USED_LOCK('${LEFT}') AS holder`)
            expect(lock[0]?.holder).toBeNull()
          })
        }
      }
    }

    for (const [what, { before, plain }] of Object.entries(HIDDEN)) {
      for (const when of ['at once', 'a while later'] as const) {
        it(`${what} of a plain statement does not reach the next lease ${when}`, async () => {
          const { client, name } = await world.open('alice')
          for (const text of before) await client.query(text)
          try {
            const fresh = await snapshot(client)
            await client.query(plain)
            // What is done behind everybody's back begins when nobody came at once.
            if (when === 'a while later') await untilIdle(world, name)
            expect(await snapshot(client)).toEqual(fresh)
          } finally {
            for (const text of HIDDEN_CLEAN_UP) await client.query(text)
          }
        })
      }
    }

    it.each(['alice', 'bob'])(
      'what was to be cleared up after one is not cleared up under %s',
      async (next) => {
        const [alice, other] = [await world.open('alice'), await world.open(next)]
        await alice.client.query('SELECT 1')
        const held = await other.client.getConnection()
        await held.query('SET @mine = 1')
        // Several turns of the event loop, in which it would have been.
        for (let turn = 0; turn < 3; turn++) await world.sql('SELECT 1')
        expect((await held.query('SELECT @mine AS mine'))[0]).toEqual([{ mine: 1 }])
        held.release()
      },
    )

    it('the connection really is the same one, turned to another tenant', async () => {
      const [alice, bob] = [await world.open('alice'), await world.open('bob')]
      const first = await snapshot(alice.client)
      await pollute(alice.client, ["SET @left = 'leaked'"])
      const second = await snapshot(bob.client)
      const third = await snapshot(alice.client)
      expect([second.id, third.id]).toEqual([first.id, first.id])
    })
  })
}

describe('what COM_CHANGE_USER keeps on MariaDB does not reach another tenant:', () => {
  let world: World
  let alice: Pool
  let bob: Pool
  beforeAll(async () => {
    world = createWorld({ maxConnections: 1 })
    alice = (await world.open('alice')).client
    bob = (await world.open('bob')).client
  })
  afterAll(() => world?.end())

  it.each([false, true])(
    'a profiler that goes on, and shows one what the next one said (compressed: %s)',
    async (compress) => {
      const { username: user, hostname: host, port } = new URL(inject('mysqlUrl'))
      const connection = { user, host, port: Number(port || 3306), compress }
      const provider = world.another({ maxConnections: 1, connection })
      const [one, other] = [await world.open('alice', provider), await world.open('bob', provider)]
      await one.client.query('SET profiling = 1')
      const held = await other.client.getConnection()
      await held.query("SELECT 'secret of bob'")
      expect((await held.query('SHOW PROFILES'))[0]).toEqual([])
      held.release()
      expect((await one.client.query('SHOW PROFILES'))[0]).toEqual([])
    },
  )

  it('what was profiled', async () => {
    const held = await alice.getConnection()
    await held.query('SET profiling = 1')
    await held.query("SELECT 'secret of alice'")
    expect(JSON.stringify(await held.query('SHOW PROFILES'))).toContain('secret of alice')
    held.release()
    expect((await bob.query('SHOW PROFILES'))[0]).toEqual([])
  })

  it('how many rows were found', async () => {
    await bob.query('SELECT 1')
    await alice.query('SELECT 1 UNION SELECT 2 UNION SELECT 3')
    expect((await bob.query('SELECT FOUND_ROWS() <= 1 AS fine'))[0]).toEqual([{ fine: 1 }])
  })

  it('how long a write may take', async () => {
    await alice.query('SET net_write_timeout = 1')
    const rows = bob.pool.query("SELECT REPEAT('x', 10000) AS x FROM seq_1_to_5000").stream()
    await once(rows, 'readable')
    // Whole seconds are what the server counts.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    let count = 0
    for await (const _ of rows) count++
    expect(count).toBe(5_000)
  })

  it.each(['alice', 'bob'])(
    'a prepared XA transaction, with which every statement would be refused: %s',
    async (next) => {
      const provider = world.another({ maxConnections: 1 })
      const one = await world.open('alice', provider)
      const other = await world.open(next, provider)
      const xid = `'${world.prefix}${next}'`
      const held = await one.client.getConnection()
      try {
        const insert = `INSERT INTO notes VALUES (${next.length}, 'prepared')`
        for (const sql of [`XA START ${xid}`, insert, `XA END ${xid}`, `XA PREPARE ${xid}`])
          await held.query(sql)
        held.release()
        expect((await other.client.query('SELECT * FROM notes'))[0]).toEqual([])
      } finally {
        await provider.close()
        await world.rollBack(xid, held.threadId)
      }
    },
  )
})

it('COM_RESET_CONNECTION, which follows plain statements, clears all but the database', async () => {
  const world = createWorld()
  const { locator, name } = await world.open('alice')
  const { hostname: host, port } = new URL(inject('mysqlUrl'))
  const user = world.userOf(locator)
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
    // A statement whose text does not show what it leaves.
    connection.taint = 'plain'
    await resetSession(connection)
    if (what.startsWith('another database')) {
      expect((await own.query('SELECT DATABASE() AS db'))[0], what).toEqual([{ db: 'information_schema' }])
      await own.query(`USE \`${name}\``)
    }
    expect(await snapshot(own), what).toEqual(fresh)
  }
  await own.end()
  await world.end()
})

describe('cleaning: needed', () => {
  let world: World
  beforeAll(() => {
    world = createWorld({ cleaning: 'needed', maxConnections: 1 })
  })
  afterAll(() => world?.end())
  // What triggers leave to the same tenant is what the option allows.
  const entries = Object.entries(POLLUTERS).filter(([what]) => what !== 'a user variable from a trigger')

  it.each(entries)('%s does not reach the next lease', async (_, statements) => {
    const { client } = await world.open('alice')
    const fresh = await snapshot(client)
    await pollute(client, statements)
    expect((await snapshot(client)).state).toEqual(fresh.state)
  })

  it('even what a trigger left does not reach another tenant', async () => {
    const [alice, bob] = [await world.open('alice'), await world.open('bob')]
    await pollute(alice.client, [
      "CREATE TRIGGER notes_left BEFORE INSERT ON notes FOR EACH ROW SET @left = 'leaked'",
      "INSERT INTO notes VALUES (7, 'seven')",
    ])
    expect((await bob.client.query('SELECT @left AS variable'))[0]).toEqual([{ variable: null }])
  })
})

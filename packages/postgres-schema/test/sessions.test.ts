import { Query } from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Isolation } from '../src/index.ts'
import { connected, createDatabase, type TestDatabase } from './database.ts'
import { POLLUTERS, pollute, snapshot } from './polluters.ts'
import { open, type Provider, providerOf } from './support.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database?.drop())

for (const isolation of ['role', 'set_role', 'search_path'] as const satisfies readonly Isolation[]) {
  describe(`${isolation}: on one connection`, () => {
    let provider: Provider
    beforeAll(() => {
      provider = providerOf(database, { isolation, maxConnections: 1 })
    })
    afterAll(() => provider.close())

    for (const [what, statements] of Object.entries(POLLUTERS)) {
      for (const by of ['query', 'client'] as const) {
        it(`${what}, left by a ${by}, does not reach the next lease`, async () => {
          const [alice, bob] = [
            await open(provider, `${isolation}_alice`),
            await open(provider, `${isolation}_bob`),
          ]
          // Where connections are a tenant's own, the next lease is the same tenant's.
          const next = isolation === 'role' ? alice : bob
          const fresh = await snapshot(
            await openFresh(isolation, next === alice ? `${isolation}_alice` : `${isolation}_bob`),
          )
          await snapshot(alice)
          if (by === 'query') await pollute(alice, statements)
          else {
            const client = await alice.connect()
            await pollute(client, statements)
            client.release()
          }
          expect((await snapshot(next)).state).toEqual(fresh.state)
          const held = await next.connect()
          expect((await held.query('SELECT current_user, current_schema() AS path')).rows).toHaveLength(1)
          held.release()
          expect(
            await database.sql(
              "SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname = current_database() AND l.objid = 4711 AND l.locktype = 'advisory'",
            ),
          ).toEqual([])
        })
      }
    }

    it('a cursor whose turn comes after the end of its transaction does not reach the next lease', async () => {
      const [alice, bob] = [
        await open(provider, `${isolation}_alice`),
        await open(provider, `${isolation}_bob`),
      ]
      const next = isolation === 'role' ? alice : bob
      const fresh = await snapshot(
        await openFresh(isolation, `${isolation}_${next === alice ? 'alice' : 'bob'}`),
      )
      const client = await alice.connect()
      await client.query('BEGIN')
      const ended = client.query('COMMIT')
      await new Promise((resolve) => {
        const late = new Query("SELECT set_config('TimeZone', 'Asia/Tokyo', false)")
        Object.assign(late, { callback: resolve })
        client.query(late)
      })
      await ended
      client.release()
      expect((await snapshot(next)).state).toEqual(fresh.state)
    })

    it('the connection really is the same one', async () => {
      const [alice, bob] = [
        await open(provider, `${isolation}_alice`),
        await open(provider, `${isolation}_bob`),
      ]
      await alice.query('SELECT 1')
      const { pid } = await snapshot(isolation === 'role' ? alice : bob)
      await pollute(alice, ["SET TimeZone = 'Asia/Tokyo'"])
      expect((await snapshot(isolation === 'role' ? alice : bob)).pid).toBe(pid)
    })
  })
}

it('a session that could not be undone is not used again until it was', async () => {
  const provider = startFresh('search_path', { maxConnections: 2, idleTimeout: 10_000 })
  const [alice, bob] = [await open(provider, 'undone_alice'), await open(provider, 'undone_bob')]
  const { pid } = await snapshot(alice)
  const held = await alice.connect()
  await held.query('BEGIN')
  await held.query('CREATE TEMP TABLE leaked (id int, body text)')
  // Its column goes with the temporary table, once nobody else reads it.
  await held.query('ALTER TABLE notes ADD COLUMN extra leaked')
  const admin = await connected(database.url)
  await admin.query('BEGIN')
  const locked = admin.query('LOCK TABLE undone_alice.notes IN ACCESS SHARE MODE')
  const waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'undone_alice.notes'::regclass"
  await expect.poll(() => database.sql(waiting)).toHaveLength(1)
  await held.query('COMMIT')
  await locked
  held.release()
  await expect.poll(() => database.sql(`${waiting} AND pid = ${pid}`)).toHaveLength(1)
  await database.sql('SELECT pg_cancel_backend($1)', [pid])
  await admin.query('ROLLBACK')
  await admin.end()
  const all = [await bob.connect(), await bob.connect()]
  for (const each of all) {
    expect((await snapshot(each)).state).toMatchObject({ temporary: 0, body: 'of undone_bob' })
    each.release()
  }
})

// Where connections are a tenant's own, so are its random numbers.
for (const isolation of ['set_role', 'search_path'] as const) {
  it(`${isolation}: a seed that was chosen makes nobody’s random numbers known`, async () => {
    const provider = startFresh(isolation)
    const [alice, bob] = [
      await open(provider, `${isolation}_alice`),
      await open(provider, `${isolation}_bob`),
    ]
    const numbers = new Set<number>()
    // What it gives can be told from what a few seeds have made of it.
    const told = vi.spyOn(Math, 'random').mockReturnValue(0.5)
    onTestFinished(() => told.mockRestore())
    for (let round = 0; round < 3; round++) {
      await alice.query('SELECT setseed(0.5)')
      numbers.add((await bob.query('SELECT random() AS number')).rows[0].number)
      await alice.query('SET seed TO 0.5')
      const held = await bob.connect()
      await held.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
      numbers.add((await held.query('SELECT random() AS number')).rows[0].number)
      await held.query('COMMIT')
      held.release()
    }
    expect(numbers.size).toBe(6)
  })
}

const fresh: Provider[] = []
afterAll(async () => {
  for (const provider of fresh) await provider.close()
})

function startFresh(isolation: Isolation, options: Parameters<typeof providerOf>[1] = {}): Provider {
  const provider = providerOf(database, { isolation, maxConnections: 1, idleTimeout: 50, ...options })
  fresh.push(provider)
  return provider
}

function openFresh(isolation: Isolation, name: string) {
  return open(startFresh(isolation), name)
}

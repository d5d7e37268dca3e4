import { Query } from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Isolation } from '../src/index.ts'
import { connectClient, createDatabase, type TestDatabase } from './database.ts'
import { POLLUTERS, pollute, snapshot } from './polluters.ts'
import { createProvider, open, type Provider } from './support.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database?.drop())

for (const isolation of ['role', 'set_role', 'search_path'] as const satisfies readonly Isolation[]) {
  describe(`${isolation}: on one connection`, () => {
    let provider: Provider
    beforeAll(() => {
      provider = createProvider(database, { isolation, maxConnections: 1 })
    })
    afterAll(() => provider.close())

    for (const [state, statements] of Object.entries(POLLUTERS)) {
      for (const by of ['query', 'client'] as const) {
        it(`${state}, left by a ${by}, does not reach the next lease`, async () => {
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
          const lease = await next.connect()
          expect((await lease.query('SELECT current_user, current_schema() AS path')).rows).toHaveLength(1)
          lease.release()
          expect(
            await database.sql(
              "SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname = current_database() AND l.objid = 4711 AND l.locktype = 'advisory'",
            ),
          ).toEqual([])
        })
      }
    }

    it('a cursor that begins after the end of its transaction does not reach the next lease', async () => {
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

    it('both leases use the same connection', async () => {
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

it('a session whose reset fails serves no other lease until a reset succeeds', async () => {
  const provider = startFresh('search_path', { maxConnections: 2, idleTimeout: 10_000 })
  const [alice, bob] = [await open(provider, 'undone_alice'), await open(provider, 'undone_bob')]
  const { pid } = await snapshot(alice)
  const lease = await alice.connect()
  await lease.query('BEGIN')
  await lease.query('CREATE TEMP TABLE leaked (id int, body text)')
  // The reset drops this column with the temporary table, as soon as no other session reads the table `notes`.
  await lease.query('ALTER TABLE notes ADD COLUMN extra leaked')
  const admin = await connectClient(database.url)
  await admin.query('BEGIN')
  const locked = admin.query('LOCK TABLE undone_alice.notes IN ACCESS SHARE MODE')
  const waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'undone_alice.notes'::regclass"
  await expect.poll(() => database.sql(waiting)).toHaveLength(1)
  await lease.query('COMMIT')
  await locked
  lease.release()
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
  it(`${isolation}: a tenant cannot choose the seed of the random numbers of another tenant`, async () => {
    const provider = startFresh(isolation)
    const [alice, bob] = [
      await open(provider, `${isolation}_alice`),
      await open(provider, `${isolation}_bob`),
    ]
    const numbers = new Set<number>()
    // A constant seed of the provider, which a tenant could compute from a few numbers, must not help.
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.5)
    onTestFinished(() => random.mockRestore())
    for (let round = 0; round < 3; round++) {
      await alice.query('SELECT setseed(0.5)')
      numbers.add((await bob.query('SELECT random() AS number')).rows[0].number)
      await alice.query('SET seed TO 0.5')
      const lease = await bob.connect()
      await lease.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
      numbers.add((await lease.query('SELECT random() AS number')).rows[0].number)
      await lease.query('COMMIT')
      lease.release()
    }
    expect(numbers.size).toBe(6)
  })
}

const fresh: Provider[] = []
afterAll(async () => {
  for (const provider of fresh) await provider.close()
})

function startFresh(isolation: Isolation, options: Parameters<typeof createProvider>[1] = {}): Provider {
  const provider = createProvider(database, { isolation, maxConnections: 1, idleTimeout: 50, ...options })
  fresh.push(provider)
  return provider
}

function openFresh(isolation: Isolation, name: string) {
  return open(startFresh(isolation), name)
}

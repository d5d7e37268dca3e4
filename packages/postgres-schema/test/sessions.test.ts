import { Query } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Isolation } from '../src/index.ts'
import { createDatabase, type TestDatabase } from './database.ts'
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
            await database.sql("SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"),
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

    it('a seed that was chosen makes nobody’s random numbers known', async () => {
      const [alice, bob] = [
        await open(provider, `${isolation}_alice`),
        await open(provider, `${isolation}_bob`),
      ]
      const next = isolation === 'role' ? alice : bob
      const numbers = new Set<number>()
      for (let round = 0; round < 3; round++) {
        await alice.query('SELECT setseed(0.5)')
        numbers.add((await next.query('SELECT random() AS number')).rows[0].number)
      }
      expect(numbers.size).toBe(3)
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

const fresh: Provider[] = []
afterAll(async () => {
  for (const provider of fresh) await provider.close()
})

async function openFresh(isolation: Isolation, name: string) {
  const provider = providerOf(database, { isolation, maxConnections: 1, idleTimeout: 50 })
  fresh.push(provider)
  return open(provider, name)
}

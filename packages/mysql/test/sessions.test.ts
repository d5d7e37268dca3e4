import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { POLLUTERS, pollute, snapshot } from './polluters.ts'
import { createWorld, type World } from './support.ts'

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
            const lock = await world.sql("SELECT IS_USED_LOCK('tenantry_left') AS holder")
            expect(lock[0]?.holder).toBeNull()
          })
        }
      }
    }

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

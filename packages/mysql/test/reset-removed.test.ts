import { expect, it, vi } from 'vitest'
import { POLLUTERS, pollute, snapshot } from './polluters.ts'
import { createWorld } from './support.ts'

// The mutation that proves the matrix in sessions.test.ts: with `USE` in the place of COM_CHANGE_USER it would be red.
vi.mock('../src/connection.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../src/connection.ts')>()
  return {
    ...original,
    async changeUser(connection: import('../src/connection.ts').Connection, login: { database: string }) {
      await original.ask(connection.client, `USE \`${login.database}\``)
      connection.verified = undefined
      connection.trace = 'none'
    },
  }
})

it('without COM_CHANGE_USER, what one tenant leaves reaches the other', async () => {
  const seen: string[] = []
  for (const [what, statements] of Object.entries(POLLUTERS)) {
    const world = createWorld({ isolation: 'shared', maxConnections: 1 })
    const [alice, bob] = [await world.open('alice'), await world.open('bob')]
    const before = await snapshot(bob.client)
    const held = await alice.client.getConnection()
    await pollute(held, statements)
    held.release()
    const after = await snapshot(bob.client).catch((error: unknown) => ({ state: String(error) }))
    if (JSON.stringify(after.state) !== JSON.stringify(before.state)) seen.push(what)
    await world.end()
  }
  const missed = Object.keys(POLLUTERS).filter((what) => !seen.includes(what))
  // Those that `USE` itself undoes, and what is only in the way of alice’s own database.
  expect(missed).toEqual([])
})

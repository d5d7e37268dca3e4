import { expect, it, vi } from 'vitest'
import { HIDDEN, POLLUTERS, pollute, snapshot } from './polluters.ts'
import { createWorld } from './support.ts'

// A mutation that proves the matrix in sessions.test.ts: without a reset between leases it would be red.
vi.mock('../src/connections/reset.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../src/connections/reset.ts')>()
  const skip = async (connection: import('../src/connections/connection.ts').Connection): Promise<void> => {
    connection.taint = 'none'
  }
  return { ...original, changeUser: skip, resetSession: skip, scheduleReset: skip }
})

it('without COM_CHANGE_USER, what one lease leaves reaches the next', async () => {
  const seen: string[] = []
  const world = createWorld()
  for (const [what, statements] of Object.entries(POLLUTERS)) {
    const provider = world.another({ maxConnections: 1 })
    const { client } = await world.open('alice', provider)
    const before = await snapshot(client)
    const held = await client.getConnection()
    await pollute(held, statements)
    held.release()
    const after = await snapshot(client).catch((error: unknown) => ({ state: String(error) }))
    if (JSON.stringify(after.state) !== JSON.stringify(before.state)) seen.push(what)
    await provider.close()
  }
  for (const [what, { before: made, plain }] of Object.entries(HIDDEN)) {
    const provider = world.another({ maxConnections: 1 })
    const { client } = await world.open(what.replaceAll(' ', '-'), provider)
    for (const text of made) await client.query(text)
    const before = await snapshot(client)
    await client.query(plain)
    const after = await snapshot(client)
    if (JSON.stringify(after.state) !== JSON.stringify(before.state)) seen.push(what)
    await provider.close()
  }
  await world.end()
  // This one lasts for a single statement, which is the snapshot itself.
  const all = [...Object.keys(POLLUTERS), ...Object.keys(HIDDEN)]
  const expected = all.filter((what) => what !== 'the next transaction’s isolation')
  expect(expected.filter((what) => !seen.includes(what))).toEqual([])
})

import { expect, it, vi } from 'vitest'
import { HIDDEN, POLLUTERS, pollute, snapshot } from './polluters.ts'
import { createTestEnvironment } from './support.ts'

// Proves that sessions.test.ts can fail: without a reset between leases, each of its leftovers is visible.
vi.mock('../src/connections/reset.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../src/connections/reset.ts')>()
  const skip = async (connection: import('../src/connections/connection.ts').Connection): Promise<void> => {
    connection.taint = 'none'
  }
  return { ...original, changeUser: skip, resetSession: skip, scheduleReset: skip }
})

it('without COM_CHANGE_USER, the next lease sees the leftovers of a lease', async () => {
  const seen: string[] = []
  const environment = createTestEnvironment()
  for (const [what, statements] of Object.entries(POLLUTERS)) {
    const provider = environment.another({ maxConnections: 1 })
    const { client } = await environment.open('alice', provider)
    const before = await snapshot(client)
    const lease = await client.getConnection()
    await pollute(lease, statements)
    lease.release()
    const after = await snapshot(client).catch((error: unknown) => ({ state: String(error) }))
    if (JSON.stringify(after.state) !== JSON.stringify(before.state)) seen.push(what)
    await provider.close()
  }
  for (const [what, { before: setup, plain }] of Object.entries(HIDDEN)) {
    const provider = environment.another({ maxConnections: 1 })
    const { client } = await environment.open(what.replaceAll(' ', '-'), provider)
    for (const text of setup) await client.query(text)
    const before = await snapshot(client)
    await client.query(plain)
    const after = await snapshot(client)
    if (JSON.stringify(after.state) !== JSON.stringify(before.state)) seen.push(what)
    await provider.close()
  }
  await environment.end()
  // This level lasts for a single statement, which is the snapshot itself.
  const all = [...Object.keys(POLLUTERS), ...Object.keys(HIDDEN)]
  const expected = all.filter((what) => what !== 'an isolation level of the next transaction')
  expect(expected.filter((what) => !seen.includes(what))).toEqual([])
})

import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { createDatabase, type TestDatabase } from './database.ts'
import { POLLUTERS, pollute, snapshot } from './polluters.ts'
import { open, providerOf } from './support.ts'

// The mutation that proves the matrix in sessions.test.ts: without the reset it would be red.
vi.mock('../src/connections/reset.ts', async (importOriginal) => ({
  ...(await importOriginal<typeof import('../src/connections/reset.ts')>()),
  RESET_SESSION: 'SELECT 1',
}))

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database?.drop())

const HARMLESS = ['a role', 'a session authorization', 'a transaction not ended', 'an aborted transaction']

it('without the reset, what one tenant leaves reaches the other', async () => {
  const seen: string[] = []
  const [server] = await database.sql("SELECT current_setting('server_version_num')::int AS version")
  for (const [what, statements] of Object.entries(POLLUTERS)) {
    const provider = providerOf(database, { isolation: 'search_path', maxConnections: 1 })
    const [alice, bob] = [await open(provider, 'tenant_alice'), await open(provider, 'tenant_bob')]
    const before = await snapshot(bob)
    const client = await alice.connect()
    await pollute(client, statements)
    client.release()
    const after = await snapshot(bob).catch((error: unknown) => ({ state: error }))
    if (JSON.stringify(after.state) !== JSON.stringify(before.state)) seen.push(what)
    await provider.close()
  }
  // A transaction left open ends its connection, with or without the reset; the scope covers roles.
  const harmless = [...HARMLESS]
  // What is sent together is a transaction block since then: nothing commits within.
  if (server?.version >= 180000) harmless.push('a temporary table committed before an error')
  const expected = Object.keys(POLLUTERS).filter((what) => !harmless.includes(what))
  expect(expected.filter((what) => !seen.includes(what))).toEqual(['a search_path'])
})

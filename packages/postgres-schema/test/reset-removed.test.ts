import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { createDatabase, type TestDatabase } from './database.ts'
import { POLLUTERS, pollute, snapshot } from './polluters.ts'
import { createProvider, open } from './support.ts'

// This mutation proves the matrix in sessions.test.ts: without the reset, its tests would fail.
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

it('without the reset, the state that one tenant leaves reaches the other tenant', async () => {
  const seen: string[] = []
  const [server] = await database.sql("SELECT current_setting('server_version_num')::int AS version")
  for (const [name, statements] of Object.entries(POLLUTERS)) {
    const provider = createProvider(database, { isolation: 'search_path', maxConnections: 1 })
    const [alice, bob] = [await open(provider, 'tenant_alice'), await open(provider, 'tenant_bob')]
    const before = await snapshot(bob)
    const client = await alice.connect()
    await pollute(client, statements)
    client.release()
    const after = await snapshot(bob).catch((error: unknown) => ({ state: error }))
    if (JSON.stringify(after.state) !== JSON.stringify(before.state)) seen.push(name)
    await provider.close()
  }
  // A transaction left open ends its connection, with or without the reset; the scope covers roles.
  const harmless = [...HARMLESS]
  // Since PostgreSQL 18 the statements of one message are one transaction block, in which no procedure can commit.
  if (server?.version >= 180000) harmless.push('a temporary table committed before an error')
  const expected = Object.keys(POLLUTERS).filter((name) => !harmless.includes(name))
  expect(expected.filter((name) => !seen.includes(name))).toEqual(['a search_path'])
})

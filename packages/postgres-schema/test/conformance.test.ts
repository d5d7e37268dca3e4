import { testProvider } from '@tenantry/conformance'
import { afterAll, beforeAll } from 'vitest'
import { createDatabase, type TestDatabase } from './database.ts'
import { createHarness } from './harness.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database?.drop())

testProvider('role', () => createHarness(database, { isolation: 'role' }))
testProvider('set_role', () => createHarness(database, { isolation: 'set_role' }))
testProvider('search_path', () => createHarness(database, { isolation: 'search_path' }))

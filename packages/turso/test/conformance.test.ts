import { testProvider } from '@tenantry/conformance'
import { startTursoEmulator, type TursoEmulator } from '@tenantry/emulators'
import { afterAll, beforeAll, vi } from 'vitest'
import { createFileHarness } from './file-harness.ts'
import { addGroup, createTursoHarness } from './turso-harness.ts'

vi.mock('@libsql/client/sqlite3', async (importOriginal) =>
  (await import('./counted-driver.ts')).countedDriver(importOriginal as never),
)

let turso: TursoEmulator
beforeAll(async () => {
  turso = await startTursoEmulator({ pageSize: 5 })
  await addGroup(turso)
})
afterAll(() => turso?.close())

testProvider('turso', () => createTursoHarness(turso))
testProvider('libsql-file', createFileHarness)

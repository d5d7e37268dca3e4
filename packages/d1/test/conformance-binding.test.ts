import { testProvider } from '@tenantry/conformance'
import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { afterAll, beforeAll } from 'vitest'
import { type Bindings, startBindings } from './bindings.ts'
import { createHarness } from './harness.ts'

let emulator: CloudflareEmulator
let bindings: Bindings
beforeAll(async () => {
  emulator = await startCloudflareEmulator()
  bindings = await startBindings(emulator, 1_000)
})
afterAll(async () => {
  await bindings?.close()
  await emulator?.close()
})

testProvider('binding', () => createHarness(emulator, { kind: 'binding', env: bindings.env }, bindings.query))

import { testProvider } from '@tenantry/conformance'
import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { afterAll, beforeAll } from 'vitest'
import { createHarness } from './harness.ts'

let emulator: CloudflareEmulator
beforeAll(async () => {
  emulator = await startCloudflareEmulator()
})
afterAll(() => emulator?.close())

testProvider('rest', () => createHarness(emulator, { kind: 'rest' }))

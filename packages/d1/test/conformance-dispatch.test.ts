import { testProvider } from '@tenantry/conformance'
import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { afterAll, beforeAll } from 'vitest'
import { createHarness, dispatchAccess, NAMESPACE } from './harness.ts'

let emulator: CloudflareEmulator
beforeAll(async () => {
  emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
})
afterAll(() => emulator?.close())

testProvider('dispatch', () => createHarness(emulator, dispatchAccess(emulator)))

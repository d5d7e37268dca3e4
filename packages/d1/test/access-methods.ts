import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { neverAborted } from '@tenantry/test-support'
import { createD1Provider, type D1Access, type D1Database } from '../src/index.ts'
import { startBindings } from './bindings.ts'
import { dispatchAccess, NAMESPACE } from './harness.ts'

type OpenDatabase = () => Promise<D1Database>

/** Opens new databases by each access method. `workerd` is workerd's own binding, the reference for the others. */
export interface AccessMethods {
  readonly emulator: CloudflareEmulator
  readonly open: Readonly<Record<'workerd' | 'binding' | 'dispatch' | 'rest', OpenDatabase>>
  stop(): Promise<void>
}

/** @param databases the number of databases by binding that the tests need at most */
export async function startAccessMethods(databases: number): Promise<AccessMethods> {
  const emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
  const bindings = await startBindings(emulator, databases)
  let created = 0

  async function open(access: D1Access): Promise<D1Database> {
    const { accountId, apiToken, fetch } = emulator
    const provider = createD1Provider({ accountId, apiToken, fetch, access: [access], rateLimit: 1_000_000 })
    const { locator } = await provider.create(`database_${created++}`, neverAborted)
    return provider.connect({ locator, purpose: 'manage', verify: async () => {} }, neverAborted)
  }

  return {
    emulator,
    open: {
      workerd: bindings.createDatabase,
      async binding() {
        const DB = await bindings.createDatabase()
        return open({ kind: 'binding', env: { DB }, bindingOf: () => 'DB' })
      },
      dispatch: () => open(dispatchAccess(emulator)),
      rest: () => open({ kind: 'rest' }),
    },
    async stop() {
      await bindings.close()
      await emulator.close()
    },
  }
}

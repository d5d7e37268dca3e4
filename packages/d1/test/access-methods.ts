import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import type { CallOptions } from '@tenantry/multi-tenancy'
import { createD1Provider, type D1Access, type D1Database } from '../src/index.ts'
import { startBindings } from './bindings.ts'
import { dispatchWay, NAMESPACE } from './harness.ts'

/** The ways to databases, each to a new one: `workerd` is its own binding, which the others are compared with. */
export interface Ladder {
  readonly emulator: CloudflareEmulator
  open(): Record<'workerd' | 'binding' | 'dispatch' | 'rest', () => Promise<D1Database>>
  stop(): Promise<void>
}

/** A call nobody gives up. */
export const call: CallOptions = { signal: new AbortController().signal }

export async function startLadder(): Promise<Ladder> {
  const emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
  const bindings = await startBindings(emulator, 600)
  let made = 0

  const by = (access: D1Access) => async (): Promise<D1Database> => {
    const { accountId, apiToken, fetch } = emulator
    const provider = createD1Provider({ accountId, apiToken, fetch, access: [access], rateLimit: 1_000_000 })
    const { locator } = await provider.create(`ladder_${made++}`, call)
    return provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
  }

  return {
    emulator,
    open: () => ({
      workerd: bindings.fresh,
      binding: async () => {
        const DB = await bindings.fresh()
        return by({ kind: 'binding', env: { DB }, bindingOf: () => 'DB' })()
      },
      dispatch: by(dispatchWay(emulator)),
      rest: by({ kind: 'rest' }),
    }),
    async stop() {
      await bindings.close()
      await emulator.close()
    },
  }
}

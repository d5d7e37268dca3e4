import {
  type CloudflareEmulator,
  type CloudflareEmulatorOptions,
  startCloudflareEmulator,
} from '@tenantry/emulators'
import type { TenantFactory } from '@tenantry/multi-tenancy'
import type { TenantProvider } from '@tenantry/multi-tenancy/provider'
import { createSimulatedClock, type SimulatedClock } from '@tenantry/test-support'
import type { Kysely } from 'kysely'
import {
  createD1Factory,
  createD1Provider,
  type D1Database,
  type D1FactoryOptions,
  type D1ProviderOptions,
} from '../src/index.ts'

type Adapters = { db: Kysely<any> }

/** An emulated Cloudflare account; its providers and factories use a simulated clock. */
export interface TestAccount {
  readonly emulator: CloudflareEmulator
  readonly clock: SimulatedClock
  createProvider(options?: Partial<D1ProviderOptions>): TenantProvider<D1Database>
  createFactory(options?: Partial<D1FactoryOptions<Adapters>>): TenantFactory<Adapters>
  /** Removes faults and recorded requests, and lets the token's rate limit pass. */
  reset(): Promise<void>
}

export async function startTestAccount(options: CloudflareEmulatorOptions = {}): Promise<TestAccount> {
  let openRequests = 0
  const clock = createSimulatedClock({ start: Date.UTC(2026, 10, 24), isBusy: () => openRequests > 0 })
  const emulator = await startCloudflareEmulator({ now: clock.now, ...options })
  const { accountId, apiToken } = emulator
  const fetch: typeof emulator.fetch = async (input, init) => {
    openRequests++
    try {
      return await emulator.fetch(input, init)
    } finally {
      openRequests--
    }
  }
  const account = { accountId, apiToken, fetch, environment: clock }
  return {
    emulator,
    clock,
    createProvider: (more = {}) => createD1Provider({ ...account, ...more }),
    createFactory: (more = {}) => createD1Factory({ ...account, ...more } as D1FactoryOptions<Adapters>),
    async reset() {
      emulator.faults.clear()
      emulator.requests.length = 0
      await clock.advance(600_000)
    },
  }
}

import {
  type CloudflareEmulator,
  type CloudflareEmulatorOptions,
  startCloudflareEmulator,
} from '@tenantry/emulators'
import {
  type Environment,
  TenancyError,
  type TenantFactory,
  type TenantProvider,
} from '@tenantry/multi-tenancy'
import type { Kysely } from 'kysely'
import {
  createD1Factory,
  createD1Provider,
  type D1Database,
  type D1FactoryOptions,
  type D1ProviderOptions,
} from '../src/index.ts'

/** A clock that moves, while somebody sleeps and nothing else goes on, to the next moment anybody waits for. */
export interface Clock extends Pick<Environment, 'now' | 'sleep' | 'random'> {
  advance(ms: number): void
}

/** @param isBusy whether something goes on that takes no time of this clock's */
export function createClock(isBusy: () => boolean): Clock {
  let now = Date.UTC(2026, 10, 24)
  const sleepers: { until: number; wake: () => void }[] = []
  let turning = false

  async function turn(): Promise<void> {
    if (turning) return
    turning = true
    while (sleepers.length > 0) {
      for (let quiet = 0; quiet < 3; quiet = isBusy() ? 0 : quiet + 1) {
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      sleepers.sort((a, b) => a.until - b.until)
      const next = sleepers[0]?.until
      if (next === undefined) break
      now = Math.max(now, next)
      while ((sleepers[0]?.until ?? Number.POSITIVE_INFINITY) <= now) sleepers.shift()?.wake()
    }
    turning = false
  }

  return {
    now: () => now,
    random: () => 0.5,
    advance(ms) {
      now += ms
    },
    sleep: (ms) =>
      new Promise((wake) => {
        sleepers.push({ until: now + ms, wake })
        void turn()
      }),
  }
}

/** An emulated account, with providers and factories on a clock of the test's. */
export interface World {
  readonly emulator: CloudflareEmulator
  readonly clock: Clock
  provider(options?: Partial<D1ProviderOptions>): TenantProvider<D1Database>
  factory(options?: Partial<D1FactoryOptions<{ db: Kysely<any> }>>): TenantFactory<{ db: Kysely<any> }>
  /** How often an operation was asked for. */
  count(operation: string): number
  reset(): void
}

export async function startWorld(options: CloudflareEmulatorOptions = {}): Promise<World> {
  let underWay = 0
  const clock = createClock(() => underWay > 0)
  const emulator = await startCloudflareEmulator({ now: clock.now, ...options })
  const { accountId, apiToken } = emulator
  const fetch: typeof emulator.fetch = async (input, init) => {
    underWay++
    try {
      return await emulator.fetch(input, init)
    } finally {
      underWay--
    }
  }
  const own = { accountId, apiToken, fetch, environment: clock }
  return {
    emulator,
    clock,
    provider: (more = {}) => createD1Provider({ ...own, ...more }),
    factory: (more = {}) => createD1Factory({ ...own, ...more } as D1FactoryOptions<{ db: Kysely<any> }>),
    count: (operation) => emulator.requests.filter((request) => request.operation === operation).length,
    reset() {
      emulator.faults.clear()
      emulator.requests.length = 0
      // So that each test has the whole of the token's five minutes.
      clock.advance(600_000)
    },
  }
}

/** What `work` throws, which must be one of our errors. */
export async function failure(work: Promise<unknown>): Promise<TenancyError> {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => error,
  )
  if (outcome instanceof TenancyError) return outcome
  throw new Error('It should have thrown a TenancyError', { cause: outcome })
}

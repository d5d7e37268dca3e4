import {
  type CallOptions,
  type Capabilities,
  defineFactory,
  type Environment,
  type FactoryOptions,
  type TenantFactory,
  type TenantProvider,
} from '@tenantry/multi-tenancy'
import type { Kysely } from 'kysely'
import type { CreateHarness, Harness, Oracle } from './harness.ts'
import { physicalName } from './support/physical-name.ts'

/** What the kit's tenants work with. */
export interface Adapters {
  readonly db: Kysely<any>
}

/** What a case works with. Whatever it opens here is closed and dropped after it. */
export interface ConformanceContext<Client = any> {
  readonly harness: Harness<Client>
  readonly provider: TenantProvider<Client>
  readonly oracle: Oracle
  readonly dialect: Capabilities['dialect']
  /** Starts every physical name of this case; no other case and no other run has it. */
  readonly prefix: string
  /** For bare calls of the provider; never aborted. */
  readonly call: CallOptions
  /** Another provider over the same service. */
  another(): TenantProvider<Client>
  /** A factory over `provider` (or the given one) with this case's prefix. */
  factory(
    options?: FactoryOptions<Client, Adapters>,
    provider?: TenantProvider<Client>,
  ): TenantFactory<Adapters>
  /** The physical name of a tenant's database. */
  nameOf(tenantId: string): Promise<string>
  /** Creates (or finds) the database and connects to it through the bare provider. */
  open(name: string, provider?: TenantProvider<Client>): Promise<Client>
  /** A second harness, from the same function. */
  newHarness(): Promise<Harness<Client>>
  /** Prints a line with the results. */
  note(line: string): void
}

const RUN = Math.random().toString(36).slice(2, 6).padEnd(4, '0')
let counter = 0

/** A context on one harness, and what ends it: closes, drops what has the prefix, cleans up. */
export function createContext(
  harness: Harness,
  createHarness: CreateHarness,
  note: (line: string) => void,
): { context: ConformanceContext; end: () => Promise<void> } {
  const { provider, oracle } = harness
  // The separator ends it: `k…1_` starts no name of case `k…10_`.
  const prefix = `k${RUN}${(counter++).toString(36)}${provider.naming.separator}`
  const call: CallOptions = { signal: new AbortController().signal }
  const closing: (() => Promise<void>)[] = [() => provider.close()]

  function another(): TenantProvider<any> {
    const made = harness.another()
    closing.push(() => made.close())
    return made
  }

  async function sweep(): Promise<void> {
    const names = await oracle.databases(prefix)
    if (names.length === 0) return
    const sweeper = harness.another()
    for (const name of names) {
      // As the core would: a service may ask to come back.
      for (let tries = 5; ; tries--) {
        try {
          const locator = await sweeper.find(name, call)
          if (locator !== undefined) await sweeper.drop(locator, call)
          break
        } catch (error) {
          if (tries === 0 || !sweeper.mapError(error).retryable) throw error
        }
      }
    }
    await sweeper.close()
  }

  const context: ConformanceContext = {
    harness,
    provider,
    oracle,
    dialect: provider.capabilities.dialect,
    prefix,
    call,
    another,
    factory(options = {}, over = provider) {
      const factory = defineFactory<any, Adapters>(over, { databasePrefix: prefix, ...options })
      closing.push(() => factory.close())
      return factory
    },
    nameOf: (tenantId) => physicalName(provider, prefix, tenantId),
    async open(name, over = provider) {
      const { locator } = await over.create(name, call)
      return over.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
    },
    async newHarness() {
      const made = await createHarness()
      closing.push(async () => {
        await made.provider.close()
        await made.cleanup()
      })
      return made
    },
    note,
  }

  async function end(): Promise<void> {
    const steps = [...closing.reverse(), sweep, () => harness.cleanup()]
    const failures: unknown[] = []
    for (const step of steps) await step().catch((error: unknown) => failures.push(error))
    if (failures.length > 0) throw failures[0]
  }
  return { context, end }
}

/** A clock that only moves when the core sleeps, so that retries take no time. */
export function virtualTime(): Partial<Environment> & Pick<Environment, 'now'> {
  let now = Date.now()
  return {
    now: () => now,
    async sleep(ms) {
      now += ms
      // Lets the service's own I/O come through; how long does not matter.
      await new Promise((resolve) => setImmediate(resolve))
    },
    random: () => 0.5,
  }
}

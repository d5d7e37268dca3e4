import {
  type CallOptions,
  type Capabilities,
  defineFactory,
  type Environment,
  type FactoryOptions,
  type TenantFactory,
  type TenantProvider,
} from '@tenantry/multi-tenancy/provider'
import type { Kysely } from 'kysely'
import type { CreateHarness, Harness, Oracle } from './harness.ts'
import { findPhysicalName } from './support/physical-name.ts'

/** The adapters of the kit's tenants. */
export interface Adapters {
  readonly db: Kysely<any>
}

/** The tools of one case. The kit closes the providers and drops the databases that the case creates with them. */
export interface ConformanceContext<Client = any> {
  readonly harness: Harness<Client>
  readonly provider: TenantProvider<Client>
  readonly oracle: Oracle
  readonly dialect: Capabilities['dialect']
  /** Starts every physical name of this case, and of no other case or run. */
  readonly prefix: string
  /** Options for direct calls of the provider; they are never aborted. */
  readonly call: CallOptions
  /** Creates a further provider over the same service. */
  createProvider(): TenantProvider<Client>
  /** Creates a factory with this case's prefix, over `provider` unless another one is passed. */
  createFactory(
    options?: FactoryOptions<Client, Adapters>,
    provider?: TenantProvider<Client>,
  ): TenantFactory<Adapters>
  /** Returns the physical name of a tenant's database. */
  getDatabaseName(tenantId: string): Promise<string>
  /** Creates or finds the database and connects to it, without a factory. */
  open(name: string, provider?: TenantProvider<Client>): Promise<Client>
  /** Creates a second harness with the same function. */
  createHarness(): Promise<Harness<Client>>
  /** Prints a line with the results. */
  note(line: string): void
  /** Ends the case because the running service shows that it does not apply; the reason is printed. */
  skip(reason: string): never
}

/** Ends a case that does not apply. */
export class CaseSkip extends Error {
  readonly reason: string

  constructor(reason: string) {
    super(reason)
    this.reason = reason
  }
}

const RUN = Math.random().toString(36).slice(2, 6).padEnd(4, '0')
let counter = 0

/** Creates the context of a case. `end` closes it, drops every database with its prefix and cleans up. */
export function createContext(
  harness: Harness,
  createHarness: CreateHarness,
  note: (line: string) => void,
): { context: ConformanceContext; end: () => Promise<void> } {
  const { provider, oracle } = harness
  // Because the separator ends the prefix, `k…1_` starts no name of case `k…10_`.
  const prefix = `k${RUN}${(counter++).toString(36)}${provider.naming.separator}`
  const call: CallOptions = { signal: new AbortController().signal }
  const closers: (() => Promise<void>)[] = [() => provider.close()]

  function createProvider(): TenantProvider<any> {
    const created = harness.createProvider()
    closers.push(() => created.close())
    return created
  }

  const context: ConformanceContext = {
    harness,
    provider,
    oracle,
    dialect: provider.capabilities.dialect,
    prefix,
    call,
    createProvider,
    createFactory(options = {}, over = provider) {
      const factory = defineFactory<any, Adapters>(over, {
        databasePrefix: prefix,
        // The cases cause errors on purpose, and check them.
        onError: () => {},
        ...options,
      })
      closers.push(() => factory.close())
      return factory
    },
    getDatabaseName: (tenantId) => findPhysicalName(provider, prefix, tenantId),
    async open(name, over = provider) {
      const { locator } = await over.create(name, call)
      return over.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
    },
    async createHarness() {
      const created = await createHarness()
      closers.push(async () => {
        await created.provider.close()
        await created.cleanup()
      })
      return created
    },
    note,
    skip(reason) {
      throw new CaseSkip(reason)
    },
  }

  async function end(): Promise<void> {
    const steps = [...closers.reverse(), () => dropDatabases(harness, prefix, call), () => harness.cleanup()]
    const failures: unknown[] = []
    for (const step of steps) await step().catch((error: unknown) => failures.push(error))
    if (failures.length > 0) throw failures[0]
  }
  return { context, end }
}

/** Attempts at one drop, as in the core: a service may ask the caller to try again. */
const DROP_ATTEMPTS = 6

async function dropDatabases(harness: Harness, prefix: string, call: CallOptions): Promise<void> {
  const names = await harness.oracle.listDatabases(prefix)
  if (names.length === 0) return
  const provider = harness.createProvider()
  for (const name of names) {
    for (let attempt = 1; ; attempt++) {
      try {
        const locator = await provider.find(name, call)
        if (locator !== undefined) await provider.drop(locator, call)
        break
      } catch (error) {
        if (attempt === DROP_ATTEMPTS || !provider.mapError(error).retryable) throw error
      }
    }
  }
  await provider.close()
}

/** An environment whose clock moves only when the core sleeps, so that retries take no real time. */
export function createSimulatedTime(): Partial<Environment> & Pick<Environment, 'now'> {
  let now = Date.now()
  return {
    now: () => now,
    async sleep(ms) {
      now += ms
      // One macrotask, in which the service's own I/O can proceed.
      await new Promise((resolve) => setImmediate(resolve))
    },
    random: () => 0.5,
  }
}

import type { MemoryClient, MemoryServer } from '@tenantry/multi-tenancy/memory'
import type { TenantProvider } from '@tenantry/multi-tenancy/provider'
import type { Harness } from '../../src/index.ts'

export type Provider = TenantProvider<MemoryClient>

/** One mistake that a provider's author can make, and the case that must fail. */
export interface Mistake {
  readonly mistake: string
  readonly fails: string
  /** What the harness declares for this case, also for the intact provider. */
  readonly declares?: Partial<Harness<MemoryClient>>
  /** Optional members that the intact provider has for this case. */
  offers?(intact: Provider, server: MemoryServer): Partial<Provider>
  readonly capabilities?: Partial<Provider['capabilities']>
  break(intact: Provider, server: MemoryServer): Provider
}

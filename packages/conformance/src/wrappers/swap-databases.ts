import type { Locator, TenantProvider } from '@tenantry/multi-tenancy/provider'

interface SwapOptions {
  /** The member that returns or connects to the wrong database. */
  readonly member: 'find' | 'connect'
  /** The physical name of the tenant that receives the wrong database. */
  readonly name: string
  /** The other tenant's database. */
  readonly other: Locator
}

interface DatabaseSwap {
  readonly provider: TenantProvider<any>
  /** From now on, the provider returns the tenant's own database. */
  stop(): void
}

/** Wraps a provider as a service that confuses two tenants: for one name it returns the other tenant's database. */
export function swapDatabases(
  provider: TenantProvider<any>,
  { member, name, other }: SwapOptions,
): DatabaseSwap {
  let isSwapped = true
  const members: Partial<TenantProvider<any>> =
    member === 'connect'
      ? {
          connect: (target, options) =>
            provider.connect(isSwapped ? { ...target, locator: other } : target, options),
        }
      : {
          find: async (requestedName, options) =>
            isSwapped && requestedName === name ? other : provider.find(requestedName, options),
        }
  return {
    provider: { ...provider, ...members },
    stop() {
      isSwapped = false
    },
  }
}

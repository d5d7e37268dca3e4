import type { LocatedDatabase, TenantLocator } from '../types/locate.ts'
import type { FactoryContext } from './context.ts'
import { createLookupCache } from './lookup-cache.ts'

/** Locates tenant databases without a catalog: by the physical name that the tenant id has. */
export function createNameLocator<Client, Adapters>({
  provider,
  prefix,
  nameTenant,
  environment,
  cache,
}: FactoryContext<Client, Adapters>): TenantLocator {
  const lookups = createLookupCache<LocatedDatabase>(
    {
      toKey: nameTenant,
      async find(tenantId, call) {
        const locator = await provider.find(await nameTenant(tenantId), call)
        return locator && { locator, generation: 1 }
      },
      async keys(call) {
        const names = new Set<string>()
        let cursor: string | undefined
        do {
          const page = await provider.list({ prefix, cursor }, call)
          for (const { name } of page.databases) names.add(name)
          cursor = page.cursor
        } while (cursor !== undefined)
        return names
      },
    },
    environment,
    cache,
  )
  return { locate: lookups.find, remember: lookups.remember, forget: lookups.forget }
}

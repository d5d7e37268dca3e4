import { notFound } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { LocatedDatabase, LookupOptions, TenantLocator } from '../types/locate.ts'
import type { CallOptions } from '../types/provider.ts'
import { createCache } from '../util/cache.ts'
import type { Environment } from '../util/environment.ts'
import { createSingleFlight } from '../util/single-flight.ts'
import type { FactoryContext } from './context.ts'

/** How a directory learns of tenants. */
export interface LookupSource<Found> {
  find(tenantId: TenantId, options: CallOptions): Promise<Found | undefined>
  /** The keys of all there are. */
  keys(options: CallOptions): Promise<ReadonlySet<string>>
  keyOf(tenantId: TenantId): string | Promise<string>
}

/** Look-ups with a memory. */
export interface LookupCache<Found> {
  /** What is remembered and not too old. */
  peek(tenantId: TenantId): Found | undefined
  /** @throws `tenant_not_found` */
  find(tenantId: TenantId, options: CallOptions): Promise<Found>
  remember(tenantId: TenantId, found: Found): void
  forget(tenantId: TenantId): void
}

/**
 * Remembers what was found, and what was not for a shorter while, in a small cache of its own. When more unknown
 * ids than `unknownLookups` come within its time, one listing of all answers for the rest of that time: a flood of
 * random ids costs no further calls, and real tenants are still found.
 */
export function createLookupCache<Found>(
  lookup: LookupSource<Found>,
  environment: Environment,
  { locatorMax, locatorTtl, negativeMax, negativeTtl, unknownLookups }: LookupOptions,
): LookupCache<Found> {
  const known = createCache<Found>(locatorMax, locatorTtl, environment.now)
  const unknown = createCache<true>(negativeMax, negativeTtl, environment.now)
  const listing = createSingleFlight<ReadonlySet<string>>(environment.runtime === 'node')
  /** The last look-up begun of each id; one that something happened to since then is not remembered. */
  const asking = new Map<TenantId, object>()
  let window = newWindow(0)

  function changed(tenantId: TenantId): void {
    known.delete(tenantId)
    unknown.delete(tenantId)
    asking.delete(tenantId)
    window.anew.add(tenantId)
  }

  async function look(tenantId: TenantId, options: CallOptions): Promise<Found | undefined> {
    const mark = {}
    asking.set(tenantId, mark)
    const found = await lookup.find(tenantId, options).catch((error: unknown) => {
      if (asking.get(tenantId) === mark) asking.delete(tenantId)
      throw error
    })
    if (asking.get(tenantId) === mark) {
      asking.delete(tenantId)
      if (found === undefined) unknown.set(tenantId, true)
      else known.set(tenantId, found)
    }
    return found
  }

  function keys(options: CallOptions): Promise<ReadonlySet<string>> {
    const current = window
    if (current.keys !== undefined) return Promise.resolve(current.keys)
    return listing.run('keys', async () => {
      current.keys = await lookup.keys(options)
      return current.keys
    })
  }

  return {
    peek: known.get,
    async find(tenantId, options) {
      const cached = known.get(tenantId)
      if (cached !== undefined) return cached
      if (unknown.get(tenantId) !== undefined) throw notFound(tenantId)
      const key = await lookup.keyOf(tenantId)
      if (environment.now() >= window.ends) window = newWindow(environment.now() + negativeTtl)
      // Counted before the answer, so that a burst in parallel is bounded too; a tenant that is there is not a miss.
      const current = window
      const flooded = ++current.misses > unknownLookups && !current.anew.has(tenantId)
      if (flooded && !(await keys(options)).has(key)) throw notFound(tenantId)
      let miss = false
      try {
        const found = await look(tenantId, options)
        miss = found === undefined
        if (found !== undefined) return found
      } finally {
        if (!miss) current.misses--
      }
      throw notFound(tenantId)
    },
    remember(tenantId, found) {
      changed(tenantId)
      known.set(tenantId, found)
    },
    forget: changed,
  }
}

/** Finds tenant databases by the name they must have. */
export function createNameLocator<Client, Adapters>({
  provider,
  prefix,
  nameTenant,
  environment,
  cache,
}: FactoryContext<Client, Adapters>): TenantLocator {
  const finder = createLookupCache<LocatedDatabase>(
    {
      keyOf: nameTenant,
      async find(tenantId, call) {
        const locator = await provider.find(await nameTenant(tenantId), call)
        return locator && { locator, generation: 1 }
      },
      async keys(call) {
        const names = new Set<string>()
        let cursor: string | undefined
        do {
          const answer = await provider.list({ prefix, cursor }, call)
          for (const { name } of answer.databases) names.add(name)
          cursor = answer.cursor
        } while (cursor !== undefined)
        return names
      },
    },
    environment,
    cache,
  )
  return { locate: finder.find, remember: finder.remember, forget: finder.forget }
}

interface Window {
  readonly ends: number
  misses: number
  /** The listing that answers while there are too many misses. */
  keys: ReadonlySet<string> | undefined
  /** Made or forgotten since the listing, which therefore does not answer for them. */
  readonly anew: Set<TenantId>
}

function newWindow(ends: number): Window {
  return { ends, misses: 0, keys: undefined, anew: new Set() }
}

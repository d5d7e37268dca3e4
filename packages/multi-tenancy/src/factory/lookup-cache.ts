import { notFound } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { LookupOptions } from '../types/locate.ts'
import type { CallOptions } from '../types/provider.ts'
import { createCache } from '../util/cache.ts'
import type { Environment } from '../util/environment.ts'
import { createSingleFlight } from '../util/single-flight.ts'

/** Where a lookup cache reads tenants from. */
export interface LookupSource<Value> {
  find(tenantId: TenantId, options: CallOptions): Promise<Value | undefined>
  /** The keys of all tenants. */
  keys(options: CallOptions): Promise<ReadonlySet<string>>
  /** The key of one tenant in `keys`. */
  toKey(tenantId: TenantId): string | Promise<string>
}

/** Look-ups with a cache for hits and one for misses. */
export interface LookupCache<Value> {
  /** The cached hit, unless it has expired. */
  peek(tenantId: TenantId): Value | undefined
  /** @throws `tenant_not_found` */
  find(tenantId: TenantId, options: CallOptions): Promise<Value>
  remember(tenantId: TenantId, value: Value): void
  forget(tenantId: TenantId): void
}

/** One period of `negativeTtl` milliseconds, in which misses are counted. */
interface MissWindow {
  readonly ends: number
  misses: number
  /** Listed once the misses exceed `unknownLookups`; then the list answers for unknown ids. */
  keys: ReadonlySet<string> | undefined
  /** Tenants that were created or forgotten in this window: the list may be out of date for them. */
  readonly changed: Set<TenantId>
}

/**
 * Caches hits for `locatorTtl` and misses for `negativeTtl`. Above `unknownLookups` misses in a window it lists all
 * keys once: a flood of random ids then costs no further look-ups, and tenants that exist are still found.
 */
export function createLookupCache<Value>(
  source: LookupSource<Value>,
  environment: Environment,
  { locatorMax, locatorTtl, negativeMax, negativeTtl, unknownLookups }: LookupOptions,
): LookupCache<Value> {
  const hits = createCache<Value>(locatorMax, locatorTtl, environment.now)
  const misses = createCache<true>(negativeMax, negativeTtl, environment.now)
  const listing = createSingleFlight<ReadonlySet<string>>({ isShared: environment.runtime === 'node' })
  /** The latest look-up of each tenant. The result of one that a change overtook is not cached. */
  const lookups = new Map<TenantId, object>()
  let window = newWindow(0)

  function recordChange(tenantId: TenantId): void {
    hits.delete(tenantId)
    misses.delete(tenantId)
    lookups.delete(tenantId)
    window.changed.add(tenantId)
  }

  async function lookUp(tenantId: TenantId, options: CallOptions): Promise<Value | undefined> {
    const lookup = {}
    const isLatest = (): boolean => lookups.get(tenantId) === lookup
    lookups.set(tenantId, lookup)
    const value = await source.find(tenantId, options).catch((error: unknown) => {
      if (isLatest()) lookups.delete(tenantId)
      throw error
    })
    if (isLatest()) {
      lookups.delete(tenantId)
      if (value === undefined) misses.set(tenantId, true)
      else hits.set(tenantId, value)
    }
    return value
  }

  function listKeys(options: CallOptions): Promise<ReadonlySet<string>> {
    const current = window
    if (current.keys !== undefined) return Promise.resolve(current.keys)
    return listing.run('keys', async () => {
      current.keys = await source.keys(options)
      return current.keys
    })
  }

  return {
    peek: hits.get,
    async find(tenantId, options) {
      const hit = hits.get(tenantId)
      if (hit !== undefined) return hit
      if (misses.get(tenantId) !== undefined) throw notFound(tenantId)
      const key = await source.toKey(tenantId)
      if (environment.now() >= window.ends) window = newWindow(environment.now() + negativeTtl)
      // Counted before the answer, which bounds a burst of concurrent look-ups; a hit is subtracted again.
      const current = window
      const isFlood = ++current.misses > unknownLookups && !current.changed.has(tenantId)
      if (isFlood && !(await listKeys(options)).has(key)) throw notFound(tenantId)
      let isMiss = false
      try {
        const value = await lookUp(tenantId, options)
        isMiss = value === undefined
        if (value !== undefined) return value
      } finally {
        if (!isMiss) current.misses--
      }
      throw notFound(tenantId)
    },
    remember(tenantId, value) {
      recordChange(tenantId)
      hits.set(tenantId, value)
    },
    forget: recordChange,
  }
}

function newWindow(ends: number): MissWindow {
  return { ends, misses: 0, keys: undefined, changed: new Set() }
}

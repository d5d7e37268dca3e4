import type { CallOptions, Locator, TenantProvider } from '../contract.ts'
import { TenancyError } from '../errors.ts'
import type { Identity } from '../identity.ts'
import type { NameTenant } from '../names.ts'
import type { TenantId } from '../tenant-id.ts'
import { createCache } from './cache.ts'
import type { Environment } from './environment.ts'
import { createSingleFlight } from './single-flight.ts'

/** A tenant database that was found; plain data, so it may outlive a request on Workers. */
export interface KnownDatabase {
  readonly locator: Locator
  readonly generation: number
  /** Learnt when the identity stamp was first read. */
  identity?: Identity
}

/** Where each tenant's database is. Without a catalog: the provider's answer for the name it must have. */
export interface Directory {
  /** @throws `tenant_not_found` */
  locate(tenantId: TenantId, options: CallOptions): Promise<KnownDatabase>
  remember(tenantId: TenantId, database: KnownDatabase): void
  forget(tenantId: TenantId): void
}

export interface DirectoryOptions {
  readonly max: number
  /** Milliseconds. */
  readonly ttl: number
  readonly negativeMax: number
  /** Milliseconds. */
  readonly negativeTtl: number
  /** Unknown ids that may each cost a look-up of their own within one `negativeTtl`. */
  readonly unknownLookups: number
}

/**
 * Finds tenant databases by name and remembers both answers for a while. An answer "there is none" goes to a
 * small cache of its own. When more unknown ids than `unknownLookups` come within its time, one listing of all
 * names answers for the rest of that time: a flood of random ids costs no further calls, and real tenants
 * are still found.
 */
export function createDirectory(
  provider: Pick<TenantProvider<never>, 'find' | 'list'>,
  prefix: string,
  nameTenant: NameTenant,
  environment: Environment,
  { max, ttl, negativeMax, negativeTtl, unknownLookups }: DirectoryOptions,
): Directory {
  const known = createCache<KnownDatabase>(max, ttl, environment.now)
  const unknown = createCache<true>(negativeMax, negativeTtl, environment.now)
  const listing = createSingleFlight<ReadonlySet<string>>(environment.runtime === 'node')
  let window = newWindow(0)

  async function locate(tenantId: TenantId, options: CallOptions): Promise<KnownDatabase> {
    const cached = known.get(tenantId)
    if (cached !== undefined) return cached
    if (unknown.get(tenantId) !== undefined) throw notFound(tenantId)
    const name = await nameTenant(tenantId)
    if (environment.now() >= window.ends) window = newWindow(environment.now() + negativeTtl)
    // Counted before the answer, so that a burst in parallel is bounded too; a tenant that is there is not a miss.
    const current = window
    const flooded = ++current.misses > unknownLookups && !current.anew.has(tenantId)
    if (flooded && !(await names(options)).has(name)) throw notFound(tenantId)
    const locator = await provider.find(name, options).catch((error: unknown) => {
      current.misses--
      throw error
    })
    if (locator === undefined) {
      unknown.set(tenantId, true)
      throw notFound(tenantId)
    }
    current.misses--
    const database: KnownDatabase = { locator, generation: 1 }
    known.set(tenantId, database)
    return database
  }

  function names(options: CallOptions): Promise<ReadonlySet<string>> {
    const current = window
    if (current.names !== undefined) return Promise.resolve(current.names)
    return listing.run('names', async () => {
      const found = new Set<string>()
      for (let cursor: string | undefined, page = 0; page === 0 || cursor !== undefined; page++) {
        const answer = await provider.list({ prefix, ...(cursor === undefined ? {} : { cursor }) }, options)
        for (const { name } of answer.databases) found.add(name)
        cursor = answer.cursor
      }
      current.names = found
      return found
    })
  }

  return {
    locate,
    remember(tenantId, database) {
      unknown.delete(tenantId)
      known.set(tenantId, database)
      window.anew.add(tenantId)
    },
    forget(tenantId) {
      known.delete(tenantId)
      unknown.delete(tenantId)
      window.anew.add(tenantId)
    },
  }
}

interface Window {
  readonly ends: number
  misses: number
  /** The listing that answers while there are too many misses. */
  names: ReadonlySet<string> | undefined
  /** Made or forgotten since the listing, which therefore does not answer for them. */
  readonly anew: Set<TenantId>
}

function newWindow(ends: number): Window {
  return { ends, misses: 0, names: undefined, anew: new Set() }
}

function notFound(tenantId: TenantId): TenancyError {
  return new TenancyError('tenant_not_found', 'No such tenant', { tenantId })
}

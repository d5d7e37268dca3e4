import { configError, notFound, TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { ReportError } from '../types/error-report.ts'
import type { LocatedDatabase, LookupOptions, TenantLocator } from '../types/locate.ts'
import type { CallOptions, Locator } from '../types/provider.ts'
import type { TenantRecord } from '../types/record.ts'
import type { Environment } from '../util/environment.ts'
import { createLookupCache } from './lookup-cache.ts'
import { createRefresher } from './refresh.ts'

export interface StateOptions {
  /**
   * Milliseconds after which a tenant's state is read again, in the background (on Workers: before the request).
   *
   * @default 5_000
   */
  readonly stateTtl?: number
  /**
   * The maximum age of a state in milliseconds: for so long, a tenant that another process suspended may still be served
   * here. When the catalog does not answer for longer, no tenant is served.
   *
   * @default 30_000
   */
  readonly stateMaxAge?: number
}

/** The reads of the catalog that this needs. */
export interface TenantRecords {
  /** The latest incarnation, in any state. */
  latest(id: TenantId): Promise<TenantRecord | undefined>
  /** The latest incarnations of at most 100 ids. */
  getLatestMany(ids: readonly TenantId[]): Promise<ReadonlyMap<TenantId, TenantRecord>>
  /** The ids that have a database or are about to. */
  ids(): Promise<ReadonlySet<TenantId>>
}

interface Known {
  readonly record: TenantRecord
  readonly readAt: number
  /** For a tenant that may be served. */
  readonly database: LocatedDatabase | undefined
}

/** Where tenant databases are and whether they may be served: the catalog's answer, remembered for a short while. */
export function createCatalogLocator(
  tenants: TenantRecords,
  environment: Environment,
  cache: LookupOptions,
  {
    stateTtl = 5_000,
    stateMaxAge = 30_000,
    reportError,
  }: StateOptions & { readonly reportError: ReportError },
): TenantLocator {
  for (const [option, value] of Object.entries({ stateTtl, stateMaxAge })) {
    if (!(value >= 0 && Number.isFinite(value))) throw configError(option, 'must be a number of at least 0')
  }
  if (stateMaxAge < stateTtl) throw configError('stateMaxAge', 'must not be below stateTtl')
  const shared = environment.runtime === 'node'
  const maxAge = shared ? stateMaxAge : stateTtl
  const lookup = {
    toKey: (id: TenantId) => id as string,
    keys: async () => (await tenants.ids()) as ReadonlySet<string>,
    async find(id: TenantId, { signal }: CallOptions): Promise<Known | undefined> {
      const readAt = environment.now()
      const record = await within(signal, tenants.latest(id))
      return record && { record, readAt, database: toServedDatabase(record) }
    },
  }
  const finder = createLookupCache<Known>(lookup, environment, { ...cache, locatorTtl: maxAge })

  const refresher = createRefresher({
    read: (ids) => within(AbortSignal.timeout(CATALOG_TIMEOUT), tenants.getLatestMany(ids)),
    now: environment.now,
    keep(id, record, readAt) {
      if (record === undefined) finder.forget(id)
      else finder.remember(id, { record, readAt, database: toServedDatabase(record) })
    },
    onFailure: (cause) => reportError(cause, { operation: 'refresh' }),
  })

  /** The cached state of a tenant, unless it is too old; read again in the background when it is older than `stateTtl`. */
  function peek(id: TenantId): Known | undefined {
    const known = finder.peek(id)
    if (known === undefined) return undefined
    // As old as the question that it answers.
    const age = environment.now() - known.readAt
    if (age >= maxAge) {
      finder.forget(id)
      return undefined
    }
    if (shared && age >= stateTtl) refresher.refresh(id)
    return known
  }

  async function locate(id: TenantId, call: CallOptions): Promise<LocatedDatabase> {
    return servable((peek(id) ?? (await finder.find(id, call))).record)
  }

  return {
    locate,
    // A catalog's own record is what counts.
    remember() {},
    forget(id) {
      refresher.forget(id)
      finder.forget(id)
    },
    isCurrent(id, database) {
      const current = peek(id)?.database
      const { state, locator } = database
      return isSame(current, database) && current.state === state && sameLocator(current.locator, locator)
    },
    beforeUse(id, database) {
      if (isSame(peek(id)?.database, database)) return
      return locate(id, { signal: AbortSignal.timeout(CATALOG_TIMEOUT) }).then((current) => {
        if (isSame(current, database)) return
        throw new TenancyError('stale_tenant', 'The tenant was recreated since its client was opened', {
          tenantId: id,
        })
      })
    },
  }
}

/** Milliseconds the catalog may take to answer. */
const CATALOG_TIMEOUT = 10_000

/** Stops waiting when the signal aborts: while the catalog hangs, no tenant is served. */
function within<Value>(signal: AbortSignal, work: Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new TenancyError('timeout', 'The catalog did not answer in time'))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

/** The same incarnation, wherever and in whichever state it is. */
function isSame(a: LocatedDatabase | undefined, b: LocatedDatabase): a is LocatedDatabase {
  return a?.identity !== undefined && a.identity.uid === b.identity?.uid
}

function sameLocator(a: Locator, b: Locator): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

function toServedDatabase(record: TenantRecord): LocatedDatabase | undefined {
  const { id, generation, uid, locator, state } = record
  if (locator === undefined || (state !== 'active' && state !== 'upgrading')) return undefined
  return { locator, generation, identity: { tenantId: id, generation, uid }, state }
}

/**
 * The database of a tenant that may be served.
 *
 * @throws `tenant_suspended`; `tenant_not_ready` for one being provisioned or whose provisioning failed; else `tenant_not_found`
 */
export function servable(record: TenantRecord): LocatedDatabase {
  const database = toServedDatabase(record)
  if (database !== undefined) return database
  const { id: tenantId, state } = record
  if (state === 'suspended')
    throw new TenancyError('tenant_suspended', 'The tenant is suspended', { tenantId })
  if (state === 'provisioning' || (state === 'failed' && record.deletedFrom === undefined)) {
    throw new TenancyError('tenant_not_ready', 'The tenant is not ready', {
      tenantId,
      retryAfter: state === 'failed' ? 60 : 2,
    })
  }
  throw notFound(tenantId)
}

import type { TenantId } from '../tenant-id.ts'
import type { Identity } from './identity.ts'
import type { CallOptions, Locator } from './provider.ts'

export interface CacheOptions {
  /**
   * Tenants whose adapters are kept, the least recently used forgotten first (Node).
   *
   * @default 100
   */
  readonly max?: number
  /**
   * Milliseconds adapters are kept (Node).
   *
   * @default 3_600_000
   */
  readonly ttl?: number
  /**
   * Tenants whose locator is remembered: plain data, on Workers too.
   *
   * @default 1_000
   */
  readonly locatorMax?: number
  /**
   * Milliseconds a locator is remembered: how long another process may still look for a deleted database.
   *
   * @default 300_000
   */
  readonly locatorTtl?: number
  /**
   * Ids remembered as unknown.
   *
   * @default 1_000
   */
  readonly negativeMax?: number
  /**
   * Milliseconds an id stays unknown here after another process created it.
   *
   * @default 10_000
   */
  readonly negativeTtl?: number
  /**
   * Unknown ids per `negativeTtl` that may cost a look-up each; beyond, one listing answers for all.
   *
   * @default 100
   */
  readonly unknownLookups?: number
}

/** Those of the cache's options that are about look-ups. */
export type LookupOptions = Pick<
  Required<CacheOptions>,
  'locatorMax' | 'locatorTtl' | 'negativeMax' | 'negativeTtl' | 'unknownLookups'
>

/** A tenant database that was found; plain data, so it may outlive a request on Workers. */
export interface LocatedDatabase {
  readonly locator: Locator
  readonly generation: number
  /** Known from a catalog, or learnt when the identity stamp was first read. */
  identity?: Identity
  /** Its stamp was read and good: where every request connects anew (Workers), that holds while this is remembered. */
  verified?: boolean
  /** Made just now and not stamped yet: there is nothing to read in it. */
  fresh?: boolean
  /** In a catalog: it is served while its schema is being changed. @default 'active' */
  readonly state?: 'active' | 'upgrading'
}

/** Where each tenant's database is. Without a catalog: the provider's answer for the name it must have. */
export interface TenantLocator {
  /** @throws `tenant_not_found`; of a catalog also what the tenant's state says */
  locate(tenantId: TenantId, options: CallOptions): Promise<LocatedDatabase>
  remember(tenantId: TenantId, database: LocatedDatabase): void
  forget(tenantId: TenantId): void
  /** Whether what was located lately may still be served as it is; asked with every request. Absent: always. */
  isCurrent?(tenantId: TenantId, database: LocatedDatabase): boolean
  /** Throws once this incarnation may not be served any more; asked before each use of a client. Absent: never. */
  beforeUse?(tenantId: TenantId, database: LocatedDatabase): void | Promise<void>
}

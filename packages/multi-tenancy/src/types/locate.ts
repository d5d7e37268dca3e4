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

/** A tenant database that was located; plain data, so it may outlive a request on Workers. */
export interface LocatedDatabase {
  readonly locator: Locator
  readonly generation: number
  /** Known from a catalog. Without one it is learnt when the identity stamp is first read. */
  readonly identity?: Identity
  /** In a catalog: `upgrading` is served while its schema is being changed. @default 'active' */
  readonly state?: 'active' | 'upgrading'
}

/** Locates tenant databases: in the catalog, or by the physical name through the provider. */
export interface TenantLocator {
  /** @throws `tenant_not_found`; with a catalog also `tenant_suspended` and `tenant_not_ready` */
  locate(tenantId: TenantId, options: CallOptions): Promise<LocatedDatabase>
  remember(tenantId: TenantId, database: LocatedDatabase): void
  forget(tenantId: TenantId): void
  /** Whether a database located earlier may still be served; called for every request. Absent: always. */
  isCurrent?(tenantId: TenantId, database: LocatedDatabase): boolean
  /** Throws once this incarnation may no longer be served; called before each use of a client. Absent: never. */
  beforeUse?(tenantId: TenantId, database: LocatedDatabase): void | Promise<void>
}

import type { Hono } from 'hono'
import type { TenantId } from '../tenant-id.ts'
import type { AccessControlOptions } from './access-control.ts'
import type { ReportError } from './error-report.ts'
import type { Lifecycle, Tenants } from './lifecycle.ts'
import type { TenantRecord } from './record.ts'

/**
 * What an app uses: one per app, from a provider's `create…Factory` or written by hand.
 * Methods never use `this`; pass them around unbound.
 */
export interface DatabaseFactory<Adapters = unknown> {
  /** The adapters of exactly this tenant. Throws (`tenant_not_found`, …), never falls back. */
  getAdapters(tenantId: string): Promise<Adapters>
  /** Creates the tenant's database, ready to use. Calling it again continues or confirms. */
  provision(tenantId: string): Promise<void>
  /** Deletes the tenant's database. Absent is done. */
  deprovision(tenantId: string): Promise<void>
}

/** A tenant as `createAdapters`, `seed` and `c.var.tenant` see it. */
export interface Tenant {
  readonly id: TenantId
  /** Which incarnation of the id this is, from 1. */
  readonly generation: number
}

/** A tenant that is being served, with its adapters. */
export interface OpenTenant<Adapters> extends Tenant {
  /** `upgrading`: its schema is being changed while it is served. */
  readonly state: 'active' | 'upgrading'
  readonly adapters: Adapters
}

/** What `defineFactory` returns: the app's interface and the calls around it. */
export interface TenantFactory<Adapters = unknown> extends DatabaseFactory<Adapters> {
  /** The tenants' recorded life, where the factory has a catalog. */
  readonly lifecycle?: Lifecycle | undefined
  /** Builds the tenants API over the catalog, for `setupMultiTenancy`. Absent without a catalog. */
  readonly createTenantsApi?: ((options: TenantsApiOptions) => Hono) | undefined
  /**
   * As `getAdapters`, with what the middleware puts into `c.var.tenant`. Background work hands over the `generation`
   * it was begun for: another incarnation of the id is then `tenant_not_found`.
   */
  open(tenantId: string, generation?: number): Promise<OpenTenant<Adapters>>
  /** Brings one tenant's database to the newest migration. Resolves with the names it applied. */
  migrate(tenantId: string): Promise<readonly string[]>
  /** Forgets what this process cached of a tenant, and lifts its quarantine. */
  release(tenantId: string): void
  /** Hands a server fault to the factory's `onError`, once: for code that answers requests. */
  reportError: ReportError
  /** Ends the factory: later calls throw `closed`, every connection is closed. Safe to call twice. */
  close(): Promise<void>
}

export interface TenantsApiOptions {
  readonly tenants: Tenants<TenantRecord>
  readonly accessControl?: AccessControlOptions | undefined
  /** Receives the server faults of the API's requests. */
  readonly reportError: ReportError
}

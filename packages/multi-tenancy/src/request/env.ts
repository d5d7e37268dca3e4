import type { TenantId } from '../tenant-id.ts'
import type { Progress } from '../types/progress.ts'
import type { DatabaseFactory } from '../types/tenant-factory.ts'

/** The tenant a request is served for, as `c.var.tenant`. */
export interface RequestTenant {
  readonly id: TenantId
  /** `upgrading`: its schema is being changed while it is served. */
  readonly state: 'active' | 'upgrading'
  /** Which incarnation of the id this is, from 1. Absent where only `getAdapters` was given. */
  readonly generation?: number
}

/**
 * What the middleware adds to a Hono app's environment.
 *
 * @example
 * ```ts
 * const app = new Hono<TenancyEnv<AdaptersOf<typeof factory>>>()
 * app.use(multiTenancy.middleware)
 * app.get('/notes', async (c) => c.json(await c.env.data.notes.list()))
 * ```
 */
export interface TenancyEnv<Adapters = unknown> {
  /** `c.env`: a copy for this request, so `data` belongs to this tenant alone. */
  Bindings: { data: Adapters }
  /** `c.var`. */
  Variables: { tenant_id: TenantId; tenant: RequestTenant }
}

/** The environment of an app that has only its tenant id resolved; `undefined` on a host of no tenant. */
export interface TenantIdEnv {
  Variables: { tenant_id: TenantId | undefined }
}

/** The adapters a factory, or a `databaseIsolation`, hands out. */
export type AdaptersOf<T> = T extends { getAdapters(tenantId: string): Promise<infer Adapters> }
  ? Adapters
  : never

/** A tenant's databases, given member by member. */
export interface DatabaseIsolation<Adapters = unknown> {
  /** The adapters of exactly this tenant. Throws when there are none; nothing is used instead. */
  getAdapters(tenantId: string): Promise<Adapters>
  /**
   * Creates a tenant's database. Beside a factory with a catalog this function is a step of the operation that has
   * created the database: it may run again, and a call of `factory.provision` in it confirms immediately. The tenant is
   * not served yet.
   */
  onProvision?(tenantId: string, progress: Progress): Promise<void>
  /** Deletes a tenant's database. Beside a factory with a catalog it is a step before the operation does. */
  onDeprovision?(tenantId: string, progress: Progress): Promise<void>
}

/**
 * Where tenants' databases come from: a factory as it is, or its members one by one. With a factory's
 * `open`, tenants are opened through that and `getAdapters` is not called.
 */
export type DatabaseSource<Adapters> = DatabaseIsolation<Adapters> | DatabaseFactory<Adapters>

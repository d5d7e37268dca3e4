import type { DatabaseContext } from '../database/context.ts'
import type { NameTenant } from '../database/names.ts'
import type { TenantId } from '../tenant-id.ts'
import type { ReportError } from '../types/error-report.ts'
import type { Lifecycle } from '../types/lifecycle.ts'
import type { LookupOptions, TenantLocator } from '../types/locate.ts'
import type { TenantFactory } from '../types/tenant-factory.ts'
import type { Environment } from '../util/environment.ts'

/** What the parts of one factory share, its catalog included. */
export interface FactoryContext<Client, Adapters> extends DatabaseContext<Client, Adapters> {
  readonly environment: Environment
  /** The prefix of every physical name. */
  readonly prefix: string
  readonly nameTenant: NameTenant
  /** @throws `invalid_tenant_id`, `closed` */
  parse(tenantId: unknown): TenantId
  /** Drops what this process cached of a tenant. */
  forget(tenantId: TenantId): void
  readonly cache: LookupOptions
  readonly reportError: ReportError
}

/** What a catalog provides to its factory. */
export interface CatalogBinding {
  readonly locator: TenantLocator
  readonly lifecycle: Lifecycle
  /** The HTTP API over `lifecycle`; part of the catalog so that an app without one does not bundle it. */
  readonly createTenantsApi: NonNullable<TenantFactory['createTenantsApi']>
}

/** The record of all tenants, given to a factory as its option `catalog`. */
export interface Catalog {
  /** Called by `defineFactory`, once for each factory. */
  attach<Client, Adapters>(context: FactoryContext<Client, Adapters>): CatalogBinding
}

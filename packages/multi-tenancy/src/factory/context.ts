import type { NameTenant } from '../database/names.ts'
import type { ProvisionContext } from '../database/steps.ts'
import type { TenantId } from '../tenant-id.ts'
import type { ReportError } from '../types/error-report.ts'
import type { Lifecycle } from '../types/lifecycle.ts'
import type { LookupOptions, TenantLocator } from '../types/locate.ts'
import type { TenantFactory } from '../types/tenant-factory.ts'
import type { Environment } from '../util/environment.ts'

/** What a factory lends its catalog. */
export interface FactoryContext<Client, Adapters> extends ProvisionContext<Client, Adapters> {
  readonly environment: Environment
  /** Starts every physical name. */
  readonly prefix: string
  readonly nameTenant: NameTenant
  /** Checks an id, and that the factory is open. */
  parse(tenantId: unknown): TenantId
  /** Drops what this process cached of a tenant. */
  forget(tenantId: TenantId): void
  readonly cache: LookupOptions
  readonly reportError: ReportError
}

/** What a factory asks where tenants are, and has their life recorded by. */
export interface CatalogBinding {
  readonly locator: TenantLocator
  readonly lifecycle?: Lifecycle
  /** The HTTP API over `lifecycle`; part of the catalog so that an app without one does not bundle it. */
  readonly createTenantsApi?: TenantFactory['createTenantsApi']
}

/** The record of all tenants, given to a factory as its option `catalog`. */
export interface Catalog {
  /** Called by `defineFactory`, once for each factory. */
  attach<Client, Adapters>(core: FactoryContext<Client, Adapters>): Required<CatalogBinding>
}

import type { Lifecycle } from '../lifecycle/types.ts'
import type { NameTenant } from '../names.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Directory, DirectoryOptions } from './directory.ts'
import type { Environment } from './environment.ts'
import type { ProvisionContext, Step } from './provisioning.ts'

/** What a factory lends its catalog. */
export interface FactoryCore<Client, Adapters> extends Omit<ProvisionContext<Client, Adapters>, 'onTrouble'> {
  readonly environment: Environment
  /** Starts every physical name. */
  readonly prefix: string
  readonly nameTenant: NameTenant
  /** Checks an id, and that the factory is open. */
  parse(tenantId: unknown): TenantId
  /** Runs one step with its retries. */
  steps(tenantId: TenantId): Step
  /** See `connectChecked`. */
  trouble(tenantId: TenantId): ProvisionContext<Client, Adapters>['onTrouble']
  /** Drops what this process cached of a tenant. */
  forget(tenantId: TenantId): void
  readonly cache: DirectoryOptions
}

/** The record of all tenants, given to a factory as its option `catalog`. */
export interface Catalog {
  /** Called by `defineFactory`, once for each factory. */
  attach<Client, Adapters>(
    core: FactoryCore<Client, Adapters>,
  ): { readonly directory: Directory; readonly lifecycle: Lifecycle }
}

import type { TenantProvider } from '@tenantry/multi-tenancy/provider'
import type { Kysely } from 'kysely'
import type { Oracle } from '../harness.ts'
import type { Around } from './pause-points.ts'

/** How a process reaches the service, as plain JSON. */
export type ServiceConfig = Readonly<Record<string, string | number | boolean>>

/**
 * How several processes reach one service. It is a module, because each process imports it: the module exports
 * `setup` and `createProvider`, and `openCatalog` unless the catalog is a SQLite file.
 */
export interface CrashHarness {
  /** Starts or finds the service, in the process of the tests. */
  setup(): Promise<{ config: ServiceConfig; oracle: Oracle; cleanup(): Promise<void> }>
  /**
   * Creates a provider over the service. Calls of the provider's members are pause points already. Pass the requests
   * within a member through `around` to make each of them a pause point, too.
   */
  createProvider(config: ServiceConfig, around: Around): TenantProvider<any> | Promise<TenantProvider<any>>
  /** Opens the catalog's database. @default a SQLite file of the run */
  openCatalog?(config: ServiceConfig): CrashCatalog | Promise<CrashCatalog>
}

/** The database of a catalog. */
export interface CrashCatalog {
  readonly db: Kysely<any>
  readonly dialect: 'sqlite' | 'postgres' | 'mysql'
  readonly transactions?: boolean
}

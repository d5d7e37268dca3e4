import type { TenantProvider } from '@tenantry/multi-tenancy'
import type { Kysely } from 'kysely'
import type { Oracle } from '../harness.ts'
import type { Around } from './pause-points.ts'

/** What a process needs to know of the service to reach it: plain JSON. */
export type ServiceConfig = Readonly<Record<string, string | number | boolean>>

/**
 * How processes of their own reach one service. A module, since the processes import it: it exports `setup` and
 * `provider`, and `catalog` where that is to live elsewhere than in a SQLite file.
 */
export interface CrashHarness {
  /** Starts or finds the service, in the process of the tests. */
  setup(): Promise<{ config: ServiceConfig; oracle: Oracle; cleanup(): Promise<void> }>
  /**
   * A provider over it. What it sends may go through `around`, so that the process dies between two requests of one
   * call, too; the provider's own members do anyway.
   */
  provider(config: ServiceConfig, around: Around): TenantProvider<any> | Promise<TenantProvider<any>>
  /** The catalog's database. @default a SQLite file of its own */
  catalog?(config: ServiceConfig): CrashCatalog | Promise<CrashCatalog>
}

/** A database that a catalog lives in. */
export interface CrashCatalog {
  readonly db: Kysely<any>
  readonly dialect: 'sqlite' | 'postgres' | 'mysql'
  readonly transactions?: boolean
}

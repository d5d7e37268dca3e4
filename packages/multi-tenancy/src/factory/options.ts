import type { Kysely } from 'kysely'
import type { MigrationSource } from '../database/migrations/index.ts'
import { configError } from '../errors.ts'
import type { OnError } from '../types/error-report.ts'
import type { CacheOptions } from '../types/locate.ts'
import type { Progress } from '../types/progress.ts'
import type { Tenant } from '../types/tenant-factory.ts'
import type { Environment } from '../util/environment.ts'
import { checkOptions } from '../util/options.ts'
import type { Catalog } from './context.ts'

/** What every provider's factory takes beside its own options. */
export type FactoryOptions<Client, Adapters> = TenantOptions<Adapters> & AdapterOptions<Client, Adapters>

/** How a client becomes what handlers get. It may be left out where that is `{ db: Kysely }`, of any tables. */
export type AdapterOptions<Client, Adapters> =
  | AdapterBuilder<Client, Adapters>
  | ({ db: Kysely<any> } extends Adapters ? { readonly createAdapters?: undefined } : never)

export interface AdapterBuilder<Client, Adapters> {
  /**
   * What handlers get as `c.env.data`, from the driver's client bound to the tenant.
   *
   * @default `{ db: Kysely }`
   */
  readonly createAdapters: (client: Client, tenant: Tenant) => Adapters | Promise<Adapters>
}

/** The options that do not depend on the kind of client. */
export interface TenantOptions<Adapters> {
  /**
   * Starts every physical name. Another app on the same server or account needs another one.
   *
   * @default `tenant_`, or `tenant-` where names have no underscores
   */
  readonly databasePrefix?: string
  /** Run by `provision` and `migrate`, inside the tenant's database. */
  readonly migrations?: MigrationSource
  /**
   * Fills a new tenant after its migrations. Runs again if provision dies before it is done: make it repeatable.
   * With a catalog, `progress.report` writes down how far it is, and a seed that reports is not taken for dead.
   */
  readonly seed?: (adapters: Adapters, tenant: Tenant, progress: Progress) => Promise<void>
  /** The record of all tenants, from `createCatalog`. With it, operations are durable, listed and reversible. */
  readonly catalog?: Catalog
  readonly cache?: CacheOptions
  /**
   * Ids that are never a tenant.
   *
   * @default RESERVED_TENANT_IDS
   */
  readonly reservedTenantIds?: readonly string[]
  /**
   * Milliseconds a request waits for its tenant to open, tries included.
   *
   * @default 10_000
   */
  readonly openTimeout?: number
  /**
   * Milliseconds each step of provision and deprovision may take, tries included.
   *
   * @default 120_000
   */
  readonly stepTimeout?: number
  /**
   * Receives server faults: an operation on a tenant that failed or is tried again, a lost connection, and what requests
   * ran into, unless the middleware has an `onError` of its own. In place of the default, which has no secrets in it.
   *
   * @default one line of JSON on `console.error` for each fault
   */
  readonly onError?: OnError
  /** Replaces clock, sleep, chance and runtime detection: for tests. */
  readonly environment?: Partial<Environment>
}

const CACHE: Required<CacheOptions> = {
  max: 100,
  ttl: 3_600_000,
  locatorMax: 1_000,
  locatorTtl: 300_000,
  negativeMax: 1_000,
  negativeTtl: 10_000,
  unknownLookups: 100,
}

/** Every cache option with its default, checked. */
export function parseCacheOptions(cache: CacheOptions = {}): Required<CacheOptions> {
  checkOptions(cache, 'cache', Object.keys(CACHE))
  const options = { ...CACHE, ...cache }
  for (const [name, value] of Object.entries(options)) requirePositive(`cache.${name}`, value)
  return options
}

/** @throws `config_invalid` unless `value` is a finite number of at least 0 */
export function requirePositive(option: string, value: number): number {
  if (typeof value !== 'number' || !(value >= 0) || !Number.isFinite(value)) {
    throw configError(option, 'must be a number of at least 0')
  }
  return value
}

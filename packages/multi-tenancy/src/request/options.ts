import type { AccessControlOptions } from '../types/access-control.ts'
import type { OnError } from '../types/error-report.ts'
import type { DatabaseSource } from './env.ts'
import type { TenantResolver } from './resolvers/resolver.ts'
import type { SubdomainOptions } from './resolvers/subdomain.ts'

/** The options that the middlewares share. One object may be given to each of them. */
export interface TenancyOptions<Adapters = unknown> {
  /** A factory, or `{ getAdapters, onProvision?, onDeprovision? }`. */
  readonly databaseIsolation: DatabaseSource<Adapters>
  /** Who may reach which tenant. @default a verified token of that very tenant */
  readonly accessControl?: AccessControlOptions
  /** Tenants as subdomains of one domain; one more resolver. */
  readonly subdomainRouting?: SubdomainOptions
  /**
   * Where the tenant id is read from. All that find something must agree, with each other and with a
   * `c.var.tenant_id` set earlier.
   * @default with `subdomainRouting` that alone; without it `c.var.tenant_id`, else the verified token's tenant
   */
  readonly resolvers?: readonly TenantResolver[]
  /** Ids that are never a tenant. Replaces the default list. @default RESERVED_TENANT_IDS */
  readonly reservedTenantIds?: readonly string[]
  /**
   * Make answers private: `Cache-Control: private, no-store` unless the handler set a `Cache-Control`, and
   * `Host` added to `Vary`, so that no shared cache serves one tenant's answer to another.
   * @default true
   */
  readonly cacheHeaders?: boolean
  /**
   * Receives the server faults of requests, once each: what failed while a tenant was resolved, authorized or opened,
   * and errors of ours that a handler threw.
   *
   * @default the factory's `onError`; without one, one line of JSON on `console.error`, without secrets
   */
  readonly onError?: OnError
}

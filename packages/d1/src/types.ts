import type { D1Database } from './client/d1-database.ts'
import type { KnownD1 } from './control-plane/rest-api.ts'

/**
 * One way to tenants' databases.
 *
 * - `binding`: the Worker's own D1 bindings. Everything D1 can; a new tenant needs a deployment.
 * - `dispatch`: a small Worker for each tenant in a dispatch namespace (Workers for Platforms) that holds the binding.
 *   New tenants are served at once. Sessions, but one request more on the way.
 * - `rest`: Cloudflare's API, for Node, administration, migrations and development. Not for production requests: all
 *   tenants share 1,200 requests in 5 minutes, each goes round by the API, and there are no sessions.
 */
export type D1Access = BindingAccess | DispatchAccess | RestAccess

export interface BindingAccess {
  readonly kind: 'binding'
  /** The Worker's `env`. Its bindings may be kept from one request to the next. */
  readonly env: object
  /**
   * The binding of a database; `undefined` where it has none, and the next way is taken. Two databases must not have
   * the same.
   *
   * @default `DB_` and the name in upper case, with `__` for each `-`: `tenant_a-b` has `DB_TENANT_A__B`
   */
  readonly bindingOf?: (database: { name: string; uuid: string }) => string | undefined
}

export interface DispatchAccess {
  readonly kind: 'dispatch'
  /** The dispatch namespace. Whoever provisions puts a Worker there for each database. */
  readonly namespace: string
  /** At least 32 characters. Each tenant's Worker gets a key of its own made from it, and answers to nothing else. */
  readonly secret: string
  /** `env.DISPATCHER`. Without it (on Node) tenants are provisioned here, but reached on the next way. */
  readonly dispatcher?: Dispatcher
  /** What one request may use in the tenant's Worker. @default the platform's limits */
  readonly limits?: { readonly cpuMs?: number; readonly subRequests?: number }
}

export interface RestAccess {
  readonly kind: 'rest'
}

/** A `dispatch_namespaces` binding. */
export interface Dispatcher {
  get(
    name: string,
    args?: Record<string, unknown>,
    options?: { limits?: { cpuMs?: number; subRequests?: number } },
  ): { fetch(input: string, init?: RequestInit): Promise<Response> }
}

/** One way, ready to be used. */
export interface Rung {
  readonly kind: D1Access['kind']
  /**
   * A client of the database, or `undefined` where this way does not lead to it.
   *
   * @param managing for work on the tenant's life, which also has to reach a database that is shut
   */
  open(database: KnownD1, managing: boolean): Promise<D1Database | undefined>
}

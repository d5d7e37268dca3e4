/** A database as Cloudflare's API identifies it. */
export interface DatabaseRef {
  /** Unique to this database: a later database of the same name has another uuid. */
  readonly uuid: string
  readonly name: string
}

/**
 * One way to reach tenants' databases.
 *
 * - `binding`: the Worker's own D1 bindings. A new tenant needs a deployment.
 * - `dispatch`: a small Worker for each tenant in a dispatch namespace (Workers for Platforms), which holds the binding.
 *   New tenants are served immediately. Each query takes one more hop.
 * - `rest`: Cloudflare's API, for Node, administration, migrations and development. Not for production requests: all
 *   tenants share 1,200 requests in 5 minutes, and there are no sessions.
 */
export type D1Access = BindingAccess | DispatchAccess | RestAccess

export interface BindingAccess {
  readonly kind: 'binding'
  /** The Worker's `env`. Its bindings stay usable in later requests. */
  readonly env: object
  /**
   * The name of a database's binding; `undefined` where it has none, and the next access method is tried. Two
   * databases must not have the same binding.
   *
   * @default `DB_` and the name in upper case, with `__` for each `-`: `tenant_a-b` has `DB_TENANT_A__B`
   */
  readonly bindingOf?: (database: { name: string; uuid: string }) => string | undefined
}

export interface DispatchAccess {
  readonly kind: 'dispatch'
  /** The dispatch namespace. The process that provisions a tenant uploads the tenant's Worker to it. */
  readonly namespace: string
  /** At least 32 characters. Each tenant's Worker accepts one key only, derived from it and the database's uuid. */
  readonly secret: string
  /** `env.DISPATCHER`. Without it (on Node) tenants' Workers are managed, and databases reached by the next method. */
  readonly dispatcher?: Dispatcher
  /** What one request may use in the tenant's Worker. @default the platform's limits */
  readonly limits?: DispatchLimits
}

export interface DispatchLimits {
  readonly cpuMs?: number
  readonly subRequests?: number
}

export interface RestAccess {
  readonly kind: 'rest'
}

/** A `dispatch_namespaces` binding. */
export interface Dispatcher {
  get(
    name: string,
    args?: Record<string, unknown>,
    options?: { limits?: DispatchLimits },
  ): { fetch(input: string, init?: RequestInit): Promise<Response> }
}

/** A bookmark taken before an action that only Time Travel can undo. */
export interface D1RestorePoint {
  /** The database's name. */
  readonly name: string
  readonly uuid: string
  /** Pass it to `restore`. It is valid for 30 days (7 on the Free plan). */
  readonly bookmark: string
  readonly before: 'migrate' | 'restore'
  /** The migrations about to run. */
  readonly migrations: readonly string[]
}

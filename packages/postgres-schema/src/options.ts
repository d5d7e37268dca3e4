import { checkConnectionLimits, configError, type Environment } from '@tenantry/multi-tenancy'
import type { ClientConfig } from 'pg'
import { checkServe, type ParsedConnection, parseConnection } from './connections/connection-config.ts'

/**
 * What keeps tenants of one database apart.
 *
 * - `role`: a LOGIN role for each tenant, with rights on its own schema alone. Connections are a tenant's own.
 * - `set_role`: one login without rights of its own takes the tenant's role with each unit of work.
 * - `search_path`: one role for all. A guard against mistakes, not against SQL that means harm.
 */
export type Isolation = 'role' | 'set_role' | 'search_path'

/**
 * What stands between this process and the server.
 *
 * - `session`: nothing, or a pooler that gives each client a server connection of its own.
 * - `transaction`: a pooler that gives a server connection for each transaction (PgBouncer in transaction mode,
 *   Supavisor, Hyperdrive).
 */
export type Pooler = 'session' | 'transaction'

/** A connection string (`postgres://…`), or what `new pg.Client()` takes. */
export type ConnectionOptions = string | ClientConfig

/** One PostgreSQL database that holds schemas of tenants. */
export interface ServerOptions {
  /**
   * The administrator's: makes schemas and, but for `search_path`, roles. It needs CREATE on the database and
   * CREATEROLE. Go to the server itself here, not through a pooler.
   */
  readonly connection: ConnectionOptions
  /**
   * Where tenants' statements go, as far as it differs: the pooler's host and port; for `set_role` and
   * `search_path` also the login.
   */
  readonly serve?: ServeOptions
}

/** Where tenants' statements go, as far as it is not where the administrator's go. */
export interface ServeOptions {
  readonly host?: string
  readonly port?: number
  readonly database?: string
  readonly ssl?: ClientConfig['ssl']
  /** A login of your own, which must be NOINHERIT and own nothing for `set_role`. */
  readonly user?: string
  readonly password?: string
}

/** The database, who gets in how, and how many connections there may be. */
export interface PostgresSchemaProviderOptions extends ServerOptions {
  /** @default 'role' */
  readonly isolation?: Isolation
  /** @default 'session' */
  readonly pooler?: Pooler
  /**
   * What the passwords of roles are derived from: at least 32 characters, the same in every process, kept like a
   * password. For `role`, and for `set_role` unless `serve.user` names a login of your own.
   */
  readonly secret?: string
  /** Further databases, on this or other servers, by a name of yours; `connection` is the one named `default`. */
  readonly servers?: Readonly<Record<string, ServerOptions>>
  /**
   * The name of the server a new tenant goes to, when the caller does not say.
   *
   * @default 'default'
   */
  readonly placement?: string | ((name: string) => string)
  /**
   * A schema that holds extensions for all tenants; it follows the tenant's own in `search_path`. Grant USAGE on it
   * to PUBLIC and nothing more.
   *
   * @default none: `search_path` is the tenant's schema alone
   */
  readonly extensionsSchema?: string
  /**
   * Makes each schema a distributed one of Citus 12 or later.
   *
   * @default undefined
   */
  readonly distribute?: 'citus'
  /**
   * Connections to one server in all, the administrator's included.
   *
   * @default 20
   */
  readonly maxConnections?: number
  /**
   * Connections of one tenant.
   *
   * @default 5
   */
  readonly maxConnectionsPerTenant?: number
  /**
   * Queries and transactions of one tenant that may wait for a connection; the next one is refused with
   * `pool_exhausted`. `Infinity` for no bound.
   *
   * @default 10_000
   */
  readonly maxWaiting?: number
  /**
   * Milliseconds to wait for a free connection.
   *
   * @default 5_000
   */
  readonly queueTimeout?: number
  /**
   * Milliseconds to wait for a new connection.
   *
   * @default 15_000
   */
  readonly connectTimeout?: number
  /**
   * Milliseconds a connection is kept unused.
   *
   * @default 30_000
   */
  readonly idleTimeout?: number
  /**
   * Milliseconds a connection is kept at all: a server process keeps what it learnt of every table it met.
   *
   * @default 1_800_000
   */
  readonly maxLifetime?: number
  /**
   * Milliseconds that deleting and closing wait for what is still running.
   *
   * @default 10_000
   */
  readonly drainTimeout?: number
  /** Replaces runtime detection, clock and sleep: for tests. */
  readonly environment?: Partial<Pick<Environment, 'runtime' | 'now' | 'sleep'>>
}

type Defaulted =
  | 'isolation'
  | 'pooler'
  | 'maxConnections'
  | 'maxConnectionsPerTenant'
  | 'maxWaiting'
  | 'queueTimeout'
  | 'connectTimeout'
  | 'idleTimeout'
  | 'maxLifetime'
  | 'drainTimeout'

/** One server's options, with its connection parsed. */
export interface ServerSettings extends ServerOptions {
  readonly parsed: ParsedConnection
}

/** Every option with its default, checked. */
export type Settings = Omit<
  PostgresSchemaProviderOptions,
  Defaulted | 'connection' | 'serve' | 'servers' | 'placement' | 'environment'
> &
  Required<Pick<PostgresSchemaProviderOptions, Defaulted>> & {
    readonly servers: ReadonlyMap<string, ServerSettings>
    readonly placement: (name: string) => string
    readonly environment: Pick<Environment, 'runtime' | 'now' | 'sleep'>
  }

const SCHEMA = /^[a-z][a-z0-9_]{0,62}$/

/** @throws `config_invalid`, naming the option */
export function postgresSettings(options: PostgresSchemaProviderOptions): Settings {
  const { isolation = 'role', pooler = 'session', placement = 'default', extensionsSchema } = options
  const { connection, serve, secret, distribute } = options
  if (!['role', 'set_role', 'search_path'].includes(isolation)) {
    throw configError('isolation', 'must be role, set_role or search_path')
  }
  if (!['session', 'transaction'].includes(pooler))
    throw configError('pooler', 'must be session or transaction')
  if (distribute !== undefined && distribute !== 'citus') throw configError('distribute', 'must be citus')
  if (extensionsSchema !== undefined && (!SCHEMA.test(extensionsSchema) || extensionsSchema === 'public')) {
    throw configError('extensionsSchema', 'must be the name of a schema, and not public')
  }
  const all = new Map([['default', parseServer('', { connection, ...(serve && { serve }) })]])
  for (const [name, server] of Object.entries(options.servers ?? {}))
    all.set(name, parseServer(`servers.${name}.`, server))
  const needsSecret = isolation === 'role' || (isolation === 'set_role' && !everyLogin(all))
  if (needsSecret && (typeof secret !== 'string' || secret.length < 32)) {
    throw configError('secret', `must have at least 32 characters for isolation: '${isolation}'`)
  }
  if (isolation === 'role' && [...all.values()].some(({ serve: own }) => own?.user !== undefined)) {
    throw configError(
      'serve.user',
      "has no meaning for isolation: 'role', where each tenant has a role of its own",
    )
  }
  const times = {
    maxWaiting: 10_000,
    queueTimeout: 5_000,
    connectTimeout: 15_000,
    idleTimeout: 30_000,
    maxLifetime: 1_800_000,
    drainTimeout: 10_000,
  }
  const numbers = {
    maxConnections: 20,
    maxConnectionsPerTenant: 5,
    ...times,
    ...given(options, Object.keys(times)),
  }
  checkConnectionLimits(numbers)
  const place = typeof placement === 'function' ? placement : () => placement
  if (typeof placement === 'string' && !all.has(placement)) throw configError('placement', 'names no server')
  return {
    isolation, pooler, servers: all, placement: place, ...numbers,
    ...(secret && { secret }), ...(distribute && { distribute }),
    ...(extensionsSchema && { extensionsSchema }), environment: { ...realWorld(), ...options.environment },
  } // biome-ignore format: one object
}

function given(options: PostgresSchemaProviderOptions, times: readonly string[]): Record<string, number> {
  const names = ['maxConnections', 'maxConnectionsPerTenant', ...times]
  const found = Object.entries(options).filter(([name, value]) => names.includes(name) && value !== undefined)
  return Object.fromEntries(found) as Record<string, number>
}

function everyLogin(servers: ReadonlyMap<string, ServerOptions>): boolean {
  return [...servers.values()].every(({ serve }) => serve?.user !== undefined)
}

function parseServer(path: string, { connection, serve }: ServerOptions): ServerSettings {
  const parsed = parseConnection(`${path}connection`, connection)
  if (serve !== undefined) checkServe(`${path}serve`, serve)
  return { connection, parsed, ...(serve && { serve }) }
}

function realWorld(): Settings['environment'] {
  return {
    runtime: globalThis.navigator?.userAgent === 'Cloudflare-Workers' ? 'workers' : 'node',
    now: Date.now,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  }
}

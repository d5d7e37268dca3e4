import type { Environment } from '@tenantry/multi-tenancy/provider'
import {
  type ConnectionPoolOptions,
  type ConnectionPoolSettings,
  checkSecret,
  configError,
  type Placement,
  type PlacementOptions,
  parsePlacement,
  parsePoolOptions,
} from '@tenantry/multi-tenancy/provider'
import {
  type ConnectionOptions,
  checkServe,
  type ParsedConnection,
  parseConnection,
  type ServeOptions,
} from './connection-options.ts'

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

/** One PostgreSQL database that holds schemas of tenants. */
export interface ServerOptions {
  /**
   * The administrator's connection: it creates schemas and, but for `search_path`, roles. It needs CREATE on the database and
   * CREATEROLE. Go to the server itself here, not through a pooler.
   */
  readonly connection: ConnectionOptions
  /**
   * Where tenants' statements go, as far as it differs: the pooler's host and port; for `set_role` and
   * `search_path` also the login.
   */
  readonly serve?: ServeOptions
}

/** The database, who gets in how, and how many connections there may be. */
export interface PostgresSchemaProviderOptions
  extends ServerOptions,
    ConnectionPoolOptions,
    PlacementOptions<ServerOptions> {
  /** @default 'role' */
  readonly isolation?: Isolation
  /** @default 'session' */
  readonly pooler?: Pooler
  /**
   * What the passwords of roles are derived from: at least 32 characters, the same in every process, kept like a
   * password. For `role`, and for `set_role` unless `serve.user` names a login of your own.
   */
  readonly secret?: string
  /**
   * A schema that holds extensions for all tenants; it follows the tenant's own in `search_path`. Grant USAGE on it
   * to PUBLIC and nothing more.
   *
   * @default none: `search_path` is the tenant's schema alone
   */
  readonly extensionsSchema?: string
  /**
   * Distributes each schema with Citus 12 or later.
   *
   * @default undefined
   */
  readonly distribute?: 'citus'
  /** Replaces runtime detection, clock and sleep: for tests. */
  readonly environment?: Partial<Pick<Environment, 'runtime' | 'now' | 'sleep'>>
}

/** One server's options, with its connection parsed. */
export interface ServerSettings extends ServerOptions {
  readonly parsed: ParsedConnection
}

/** Every option with its default, checked. */
export interface Settings extends ConnectionPoolSettings, Placement<ServerSettings> {
  readonly isolation: Isolation
  readonly pooler: Pooler
  readonly secret?: string
  readonly extensionsSchema?: string
  readonly distribute?: 'citus'
  readonly environment: Pick<Environment, 'runtime' | 'now' | 'sleep'>
}

const SCHEMA = /^[a-z][a-z0-9_]{0,62}$/

/** @throws `config_invalid`, naming the option */
export function parseOptions(options: PostgresSchemaProviderOptions): Settings {
  const { isolation = 'role', pooler = 'session', extensionsSchema, secret, distribute } = options
  if (!['role', 'set_role', 'search_path'].includes(isolation))
    throw configError('isolation', 'must be role, set_role or search_path')
  if (!['session', 'transaction'].includes(pooler))
    throw configError('pooler', 'must be session or transaction')
  if (distribute !== undefined && distribute !== 'citus') throw configError('distribute', 'must be citus')
  if (extensionsSchema !== undefined && (!SCHEMA.test(extensionsSchema) || extensionsSchema === 'public'))
    throw configError('extensionsSchema', 'must be the name of a schema, and not public')
  const placement = parsePlacement(options, options, parseServer)
  const servers = [...placement.servers.values()]
  if (isolation === 'role' || (isolation === 'set_role' && !servers.every(hasLogin)))
    checkSecret(secret, `isolation: '${isolation}'`)
  if (isolation === 'role' && servers.some(hasLogin)) {
    const problem = "has no meaning for isolation: 'role', where each tenant has a role of its own"
    throw configError('serve.user', problem)
  }
  return {
    isolation, pooler, ...placement, ...parsePoolOptions(options),
    ...(secret && { secret }), ...(distribute && { distribute }), ...(extensionsSchema && { extensionsSchema }),
    environment: { ...detectEnvironment(), ...options.environment },
  } // biome-ignore format: one object
}

function hasLogin({ serve }: ServerOptions): boolean {
  return serve?.user !== undefined
}

function parseServer(path: string, { connection, serve }: ServerOptions): ServerSettings {
  const parsed = parseConnection(`${path}connection`, connection)
  if (serve !== undefined) checkServe(`${path}serve`, serve)
  return { connection, parsed, ...(serve && { serve }) }
}

function detectEnvironment(): Settings['environment'] {
  return {
    runtime: globalThis.navigator?.userAgent === 'Cloudflare-Workers' ? 'workers' : 'node',
    now: Date.now,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  }
}

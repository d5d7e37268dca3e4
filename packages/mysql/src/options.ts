import { checkConnectionLimits, configError } from '@tenantry/multi-tenancy/provider'
import type { ConnectionOptions as DriverOptions } from 'mysql2'
import { driverOptions } from './driver-options.ts'

/**
 * What keeps tenants of one server apart.
 *
 * - `user`: a user for each tenant, with rights on its own database alone.
 * - `shared`: one user for all, for hosts that forbid creating users. A guard against mistakes, not against SQL that
 *   means harm.
 */
export type Isolation = 'user' | 'shared'

/** A connection string (`mysql://…`), or what `createConnection()` of `mysql2` takes. */
export type ConnectionOptions = string | DriverOptions

/** One server, or one cluster that is reached as a server. */
export interface ServerOptions {
  /** The administrator's: makes databases and, but for `shared`, users. */
  readonly connection: ConnectionOptions
}

/** The server, who gets in how, and how many connections there may be. */
export interface MysqlProviderOptions extends ServerOptions {
  /** @default 'user' */
  readonly isolation?: Isolation
  /**
   * What the passwords of users are derived from: at least 32 characters, the same in every process, kept like a
   * password. For `user`.
   */
  readonly secret?: string
  /** Further servers, by a name of yours; `connection` is the one named `default`. */
  readonly servers?: Readonly<Record<string, ServerOptions>>
  /**
   * The name of the server a new tenant goes to, when the caller does not say.
   *
   * @default 'default'
   */
  readonly placement?: string | ((name: string) => string)
  /**
   * The host part of tenants' users: from where they may log in, `%` being anywhere.
   *
   * @default '%'
   */
  readonly userHost?: string
  /**
   * The database on each server in which a table says which databases are ours. Made when missing.
   *
   * @default 'tenantry'
   */
  readonly registry?: string
  /**
   * What a connection goes through between two uses by the *same* tenant. Another tenant's use always comes after
   * `COM_CHANGE_USER`.
   *
   * - `always`: like new, in the background after plain statements (SELECT, INSERT, UPDATE, DELETE, REPLACE without
   *   variables or locks), before anybody else can have it after anything else. Nothing is left, whatever ran.
   * - `needed`: nothing after plain statements. What the tenant's own triggers, views and stored functions left (a user
   *   variable, a named lock), and its last key, may be met by its own next statement.
   *
   * @default 'always'
   */
  readonly cleaning?: 'always' | 'needed'
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
   * Milliseconds a connection is kept at all.
   *
   * @default 1_800_000
   */
  readonly maxLifetime?: number
  /**
   * Milliseconds that deleting and closing wait for what is still running, and making and deleting for another process
   * that does so with the same database.
   *
   * @default 10_000
   */
  readonly drainTimeout?: number
}

const NUMBERS = {
  maxConnections: 20,
  maxConnectionsPerTenant: 5,
  maxWaiting: 10_000,
  queueTimeout: 5_000,
  connectTimeout: 15_000,
  idleTimeout: 30_000,
  maxLifetime: 1_800_000,
  drainTimeout: 10_000,
}

/** Every option with its default, checked. */
export type Settings = Readonly<typeof NUMBERS> & {
  readonly isolation: Isolation
  readonly secret: string | undefined
  readonly userHost: string
  readonly registry: string
  readonly cleaning: 'always' | 'needed'
  readonly servers: ReadonlyMap<string, ServerOptions>
  readonly placement: (name: string) => string
}

/** @throws `config_invalid`, naming the option */
export function mysqlSettings(options: MysqlProviderOptions): Settings {
  const { connection, isolation = 'user', secret, placement = 'default', cleaning = 'always' } = options
  const { userHost = '%', registry = 'tenantry' } = options
  if (!['user', 'shared'].includes(isolation)) throw configError('isolation', 'must be user or shared')
  if (!['always', 'needed'].includes(cleaning)) throw configError('cleaning', 'must be always or needed')
  if (isolation === 'user' && (typeof secret !== 'string' || secret.length < 32))
    throw configError('secret', "must have at least 32 characters for isolation: 'user'")
  if (!/^[\w.:%/-]{1,60}$/.test(userHost)) throw configError('userHost', 'must be the host part of a user')
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(registry)) throw configError('registry', 'must match [a-z][a-z0-9_]*')
  const servers = new Map([['default', { connection }], ...Object.entries(options.servers ?? {})])
  for (const [name, server] of servers) {
    // It is part of a page's cursor.
    if (!/^[\w.-]+$/.test(name)) throw configError('servers', `${JSON.stringify(name)} is no name`)
    checkConnection(name === 'default' ? 'connection' : `servers.${name}.connection`, server?.connection)
  }
  if (typeof placement === 'string' && !servers.has(placement))
    throw configError('placement', 'names no server')
  const numbers = { ...NUMBERS }
  for (const name of Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]) {
    numbers[name] = options[name] ?? NUMBERS[name]
  }
  checkConnectionLimits(numbers)
  const place = typeof placement === 'function' ? placement : () => placement
  return { isolation, secret, userHost, registry, cleaning, servers, placement: place, ...numbers }
}

function checkConnection(option: string, connection: unknown): void {
  if (typeof connection !== 'string' && (typeof connection !== 'object' || connection === null))
    throw configError(option, 'is missing')
  const given = driverOptions(connection as ConnectionOptions, option)
  const { uri, multipleStatements, flags, stream } = given
  if (uri !== undefined) throw configError(option, 'give the URL itself')
  // One statement at a time: the second of two could leave what the look at the first does not show.
  if (multipleStatements || /MULTI_STATEMENTS/i.test(String(flags ?? '')))
    throw configError(`${option}.multipleStatements`, 'is not possible here')
  if (stream !== undefined && typeof stream !== 'function')
    throw configError(`${option}.stream`, 'must be a function: there is more than one connection')
  for (const [field, value] of Object.entries(given)) {
    // A NUL ends a field of the handshake.
    if (typeof value === 'string' && value.includes('\0'))
      throw configError(`${option}.${field}`, 'holds a NUL character')
  }
}

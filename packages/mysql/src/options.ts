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
import { type ConnectionOptions, driverOptions } from './driver-options.ts'

/**
 * What keeps tenants of one server apart.
 *
 * - `user`: a user for each tenant, with rights on its own database alone.
 * - `shared`: one user for all, for hosts that forbid creating users. A guard against mistakes, not against SQL that
 *   means harm.
 */
export type Isolation = 'user' | 'shared'

export type { ConnectionOptions }

/** One server, or one cluster that is reached as a server. */
export interface ServerOptions {
  /** The administrator's connection: it creates databases and, except for `shared`, users. */
  readonly connection: ConnectionOptions
}

/** The server, how tenants are isolated, and how many connections may be open. */
export interface MysqlProviderOptions
  extends ServerOptions,
    ConnectionPoolOptions,
    PlacementOptions<ServerOptions> {
  /** @default 'user' */
  readonly isolation?: Isolation
  /**
   * What the passwords of users are derived from: at least 32 characters, the same in every process, kept like a
   * password. For `user`.
   */
  readonly secret?: string
  /**
   * The host part of tenants' users: from where they may log in, `%` being anywhere.
   *
   * @default '%'
   */
  readonly userHost?: string
  /**
   * The database on each server whose table lists the tenant databases. Created when missing.
   *
   * @default 'tenantry'
   */
  readonly registry?: string
  /**
   * How a session is reset between two uses by the *same* tenant. Another tenant's use always follows
   * `COM_CHANGE_USER`.
   *
   * - `always`: after every use; in the background after plain statements (SELECT, INSERT, UPDATE, DELETE, REPLACE without
   *   variables or locks), otherwise before the next use. No session state remains.
   * - `needed`: not after plain statements. What the tenant's own triggers, views and stored functions left (a user
   *   variable, a named lock), and its last key, may be visible to its own next statement.
   *
   * @default 'always'
   */
  readonly cleaning?: 'always' | 'needed'
}

/** Every option with its default, checked. */
export interface Settings extends ConnectionPoolSettings, Placement<ServerOptions> {
  readonly isolation: Isolation
  readonly secret: string | undefined
  readonly userHost: string
  readonly registry: string
  readonly cleaning: 'always' | 'needed'
}

/** @throws `config_invalid`, naming the option */
export function mysqlSettings(options: MysqlProviderOptions): Settings {
  const { connection, isolation = 'user', secret, cleaning = 'always' } = options
  const { userHost = '%', registry = 'tenantry' } = options
  if (!['user', 'shared'].includes(isolation)) throw configError('isolation', 'must be user or shared')
  if (!['always', 'needed'].includes(cleaning)) throw configError('cleaning', 'must be always or needed')
  if (isolation === 'user') checkSecret(secret, "isolation: 'user'")
  if (!/^[\w.:%/-]{1,60}$/.test(userHost)) throw configError('userHost', 'must be the host part of a user')
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(registry)) throw configError('registry', 'must match [a-z][a-z0-9_]*')
  const placement = parsePlacement<ServerOptions, ServerOptions>(options, { connection }, (path, server) => {
    checkConnection(`${path}connection`, server.connection)
    return server
  })
  return {
    isolation,
    secret,
    userHost,
    registry,
    cleaning,
    ...placement,
    ...parsePoolOptions(options),
  }
}

function checkConnection(option: string, connection: unknown): void {
  if (typeof connection !== 'string' && (typeof connection !== 'object' || connection === null))
    throw configError(option, 'is missing')
  const driver = driverOptions(connection as ConnectionOptions, option)
  const { uri, multipleStatements, flags, stream } = driver
  if (uri !== undefined) throw configError(option, 'is an object with a uri: give the URL itself')
  // A text of several statements could leave session state that its classification does not show.
  if (multipleStatements || /MULTI_STATEMENTS/i.test(String(flags ?? '')))
    throw configError(`${option}.multipleStatements`, 'is not supported: a call runs one statement')
  if (stream !== undefined && typeof stream !== 'function')
    throw configError(`${option}.stream`, 'must be a function that opens a stream for each connection')
  for (const [field, value] of Object.entries(driver)) {
    // A NUL ends a field of the handshake.
    if (typeof value === 'string' && value.includes('\0'))
      throw configError(`${option}.${field}`, 'contains a NUL character')
  }
}

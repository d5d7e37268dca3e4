import { configError } from '../errors.ts'
import { checkConnectionLimits } from './pool/options.ts'

/** Options that providers of database servers share: how many connections, and for how long. */
export interface ConnectionPoolOptions {
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
   * Queries and transactions of one tenant that may wait for a connection; the next one is rejected with
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
   * Milliseconds a connection is kept at all: the memory of a server process grows with every table it has read.
   *
   * @default 1_800_000
   */
  readonly maxLifetime?: number
  /**
   * Milliseconds that deleting and closing wait for statements that still run.
   *
   * @default 10_000
   */
  readonly drainTimeout?: number
}

/** Every pool option with its value. */
export type ConnectionPoolSettings = Required<ConnectionPoolOptions>

const DEFAULTS: ConnectionPoolSettings = {
  maxConnections: 20,
  maxConnectionsPerTenant: 5,
  maxWaiting: 10_000,
  queueTimeout: 5_000,
  connectTimeout: 15_000,
  idleTimeout: 30_000,
  maxLifetime: 1_800_000,
  drainTimeout: 10_000,
}

/** The names of the pool options, for a provider's list of its own option names. */
export const CONNECTION_POOL_OPTIONS: Readonly<Record<keyof ConnectionPoolOptions, true>> =
  /* @__PURE__ */ Object.fromEntries(
    /* @__PURE__ */ Object.keys(DEFAULTS).map((name) => [name, true]),
  ) as Record<keyof ConnectionPoolOptions, true>

/**
 * The pool options with their defaults.
 *
 * @throws `config_invalid`, naming the option
 */
export function parsePoolOptions(options: ConnectionPoolOptions): ConnectionPoolSettings {
  const names = Object.keys(DEFAULTS) as (keyof ConnectionPoolOptions)[]
  const settings = Object.fromEntries(
    names.map((name) => [name, options[name] ?? DEFAULTS[name]]),
  ) as ConnectionPoolSettings & Record<string, number>
  checkConnectionLimits(settings)
  return settings
}

/** Options of a provider whose tenants may live on several servers. */
export interface PlacementOptions<Server> {
  /** Further servers, by a name of yours; the provider's own `connection` is the one named `default`. */
  readonly servers?: Readonly<Record<string, Server>>
  /**
   * The name of the server a new tenant goes to, when the caller does not say.
   *
   * @default 'default'
   */
  readonly placement?: string | ((name: string) => string)
}

/** The servers by name, and where a new tenant goes. */
export interface Placement<Parsed> {
  readonly servers: ReadonlyMap<string, Parsed>
  readonly placement: (name: string) => string
}

/**
 * Checks the servers' names and parses each server.
 *
 * @param own the server that the provider's own options describe, named `default`
 * @param parse parses one server; `path` is what the names of its options begin with in errors
 * @throws `config_invalid`, naming the option
 */
export function parsePlacement<Server, Parsed>(
  { servers = {}, placement = 'default' }: PlacementOptions<Server>,
  own: Server,
  parse: (path: string, server: Server) => Parsed,
): Placement<Parsed> {
  const parsed = new Map([['default', parse('', own)]])
  for (const [name, server] of Object.entries(servers)) {
    // The name is part of locators and of the cursors of `list`.
    if (!/^[\w.-]+$/.test(name))
      throw configError('servers', `invalid server name ${JSON.stringify(name)} (use letters, digits, . _ -)`)
    if (typeof server !== 'object' || server === null)
      throw configError(`servers.${name}`, 'must be an object')
    parsed.set(name, parse(`servers.${name}.`, server))
  }
  if (typeof placement === 'function') return { servers: parsed, placement }
  if (!parsed.has(placement)) throw configError('placement', `unknown server ${JSON.stringify(placement)}`)
  return { servers: parsed, placement: () => placement }
}

/**
 * Checks the secret that passwords are derived from.
 *
 * @param reason why it is needed, for the message
 * @throws `config_invalid`
 */
export function checkSecret(secret: unknown, reason: string): void {
  if (typeof secret !== 'string' || secret.length < 32)
    throw configError('secret', `must have at least 32 characters for ${reason}`)
}

/**
 * The parts of a URL that may be percent-encoded.
 *
 * @throws `config_invalid`, naming the option, for a `%` that begins no escape
 */
export function decodeUrlPart(option: string, part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw configError(option, 'contains an unescaped "%" (write %25)')
  }
}

/** Whether a text contains a control character, which would end or begin another field of a login message. */
export function hasControlCharacter(text: string): boolean {
  return [...text].some((character) => character < ' ' || character === '\x7f')
}

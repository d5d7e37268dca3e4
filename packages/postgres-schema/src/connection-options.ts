import { configError, decodeUrlPart, hasControlCharacter } from '@tenantry/multi-tenancy/provider'
import type { ClientConfig } from 'pg'

/** A connection string (`postgres://…`), or what `new pg.Client()` takes. */
export type ConnectionOptions = string | ClientConfig

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

/** A connection option, parsed and checked. */
export interface ParsedConnection {
  /** The driver's configuration, but for TLS parameters of a URL. */
  readonly fields: ClientConfig
  /** TLS parameters of a URL. Only the driver's own parser reads the files that they name. */
  readonly tls: Readonly<Record<string, string>>
}

/** Parameters of a URL that become fields of the driver's configuration under the same name. */
const FIELD_PARAMETERS = new Set([
  'application_name',
  'client_encoding',
  'fallback_application_name',
  'idle_in_transaction_session_timeout',
  'lock_timeout',
  'options',
  'query_timeout',
  'statement_timeout',
])

const TLS_PARAMETERS = new Set([
  'ssl',
  'sslcert',
  'sslkey',
  'sslmode',
  'sslnegotiation',
  'sslrootcert',
  'uselibpqcompat',
])

const SERVE_FIELDS = new Set(['host', 'port', 'database', 'ssl', 'user', 'password'])

/** Fields of an object that `new pg.Client()` takes and that change nothing a tenant's connection relies on. */
const FIELDS = new Set([
  ...FIELD_PARAMETERS,
  'binary',
  'connectionTimeoutMillis',
  'database',
  'enableChannelBinding',
  'host',
  'keepAlive',
  'keepAliveInitialDelayMillis',
  'password',
  'port',
  'scramMaxIterations',
  'ssl',
  'sslnegotiation',
  'stream',
  'types',
  'user',
])

/**
 * Settings that the provider sets itself. In `options` they would replace the tenant's search path, or the role that
 * `RESET ROLE` returns to.
 */
const RESERVED_SETTING = /(?:^|[\s-]|-c)(search[_-]path|role|session[_-]authorization)\s*=/i

/**
 * Parses a connection option. The driver's parser lets a URL's `?user=`, `?password=` and `?host=` replace what the
 * configuration says, so it is never given a parameter that is not listed here.
 *
 * @param option the option's name, for errors
 * @throws `config_invalid`, naming the option and the parameter or field
 */
export function parseConnection(option: string, connection: ConnectionOptions): ParsedConnection {
  const parsed =
    typeof connection === 'string' ? parseUrl(option, connection) : parseObject(option, connection)
  checkFields(option, parsed.fields)
  return parsed
}

/** @throws `config_invalid`, naming the option and the field */
export function checkServe(option: string, serve: ServeOptions): void {
  checkNames(option, serve, SERVE_FIELDS)
  checkFields(option, serve)
}

function checkNames(option: string, fields: object, allowed: ReadonlySet<string>): void {
  for (const [field, value] of Object.entries(fields)) {
    if (value !== undefined && !allowed.has(field))
      throw configError(`${option}.${field}`, 'is not supported for a tenant connection; remove it')
  }
}

function checkFields(option: string, fields: ClientConfig | ServeOptions): void {
  for (const [field, value] of Object.entries(fields)) {
    // A NUL in the startup packet would begin another parameter.
    if (typeof value === 'string' && hasControlCharacter(value))
      throw configError(`${option}.${field}`, 'contains a control character')
  }
  const { host, options } = fields as ClientConfig
  if (host?.includes(',')) throw severalHosts(`${option}.host`)
  const [, setting] = RESERVED_SETTING.exec(options ?? '') ?? []
  if (setting !== undefined)
    throw configError(
      `${option}.options`,
      `sets ${setting}, which the provider sets for each tenant; remove it`,
    )
}

function parseObject(option: string, connection: ClientConfig): ParsedConnection {
  if (typeof connection !== 'object' || connection === null) throw configError(option, 'is missing')
  if (connection.connectionString !== undefined)
    throw configError(option, 'contains a connectionString; pass the string itself')
  checkNames(option, connection, FIELDS)
  return { fields: connection, tls: {} }
}

function parseUrl(option: string, text: string): ParsedConnection {
  if (!/^postgres(?:ql)?:\/\//.test(text))
    throw configError(option, 'must be a postgres:// URL, or an object')
  const [start = '', authority = ''] = /^\w+:\/\/([^/?#]*)/.exec(text) ?? []
  if (authority.slice(authority.lastIndexOf('@') + 1).includes(',')) throw severalHosts(option)
  // A login without a host is the usual spelling for a Unix socket, though it is not a valid URL.
  const hasHost = authority !== '' && !authority.endsWith('@')
  const valid = authority === '' || hasHost ? text : `${start}socket.invalid${text.slice(start.length)}`
  if (!URL.canParse(valid)) throw configError(option, 'must be a postgres:// URL, or an object')
  const url = new URL(valid)
  if (url.hash !== '') throw configError(option, 'contains an unescaped "#" (write %23)')
  const decode = (part: string): string => decodeUrlPart(option, part)
  const fields: Record<string, unknown> = { ...parsePlace(option, url, hasHost ? decode(url.hostname) : '') }
  const user = decode(url.username)
  const password = decode(url.password)
  const database = decode(url.pathname.slice(1))
  if (user !== '') fields.user = user
  if (password !== '') fields.password = password
  if (/[?#]/.test(database))
    throw configError(option, 'names a database with "?" or "#", which needs an object instead of a URL')
  if (database !== '') fields.database = database
  const tls: Record<string, string> = {}
  for (const name of new Set(url.searchParams.keys())) {
    const values = url.searchParams.getAll(name)
    const [value = ''] = values
    if (values.length > 1) throw configError(option, `has the parameter "${name}" twice`)
    if (TLS_PARAMETERS.has(name)) tls[name] = value
    else if (FIELD_PARAMETERS.has(name))
      fields[name] = name.endsWith('_timeout') ? parseNumber(option, name, value) : value
    else if (name === 'connect_timeout')
      fields.connectionTimeoutMillis = parseNumber(option, name, value) * 1_000
    else if (name === 'channel_binding') fields.enableChannelBinding = value !== 'disable'
    else if (!isSocketParameter(name, fields))
      throw configError(
        option,
        `has the parameter "${name}", which a tenant connection does not support; remove it`,
      )
  }
  return { fields: fields as ClientConfig, tls }
}

/** Host and port: of the URL itself, or of a Unix socket, whose directory and port are parameters. */
function parsePlace(option: string, url: URL, hostname: string): ClientConfig {
  const host = url.searchParams.get('host')
  const port = url.port || url.searchParams.get('port') || ''
  if (host !== null && (hostname !== '' || !host.startsWith('/'))) {
    const problem =
      'has the parameter "host", which may only name the directory of a Unix socket, without another host'
    throw configError(option, problem)
  }
  const place = host ?? hostname.replace(/^\[(.+)\]$/, '$1')
  return { ...(place && { host: place }), ...(port && { port: Number(port) }) }
}

function isSocketParameter(name: string, { host }: { readonly host?: unknown }): boolean {
  return (name === 'host' || name === 'port') && String(host).startsWith('/')
}

function parseNumber(option: string, name: string, value: string): number {
  if (!/^\d+$/.test(value))
    throw configError(option, `has the parameter "${name}", which must be a whole number`)
  return Number(value)
}

function severalHosts(option: string): Error {
  return configError(option, 'names several hosts; name one, for example a proxy that chooses among them')
}

/** The driver's configuration for a connection with some parts replaced. */
export function toClientConfig(
  { fields, tls }: ParsedConnection,
  { ssl, ...parts }: ServeOptions & { readonly options?: string } = {},
): ClientConfig {
  const options = [fields.options, parts.options].filter(Boolean).join(' ')
  const config: ClientConfig = {
    ...fields,
    fallback_application_name: fields.fallback_application_name ?? 'tenantry',
    keepAlive: true,
    ...parts,
    ...(options && { options }),
    ...(ssl !== undefined && { ssl }),
  }
  // The server offers no TLS on a Unix socket.
  if (config.host?.startsWith('/')) return { ...config, ssl: false }
  if (ssl !== undefined || Object.keys(tls).length === 0) return config
  return { ...config, connectionString: toUrl(config, tls) }
}

/** What the string says replaces the fields, so it repeats each field that it could replace. */
function toUrl(
  { user = '', password, host = '', port, database = '' }: ClientConfig,
  tls: Readonly<Record<string, string>>,
): string {
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(String(password ?? ''))}`
  const quoted = host.includes(':') ? `[${host}]` : encodeURIComponent(host)
  const place = port === undefined ? quoted : `${quoted}:${port}`
  return `postgres://${login}@${place}/${encodeURI(database)}?${new URLSearchParams(tls)}`
}

/** The passwords in a connection, to be kept out of errors. */
export function collectPasswords(
  connection: ConnectionOptions,
  { fields }: ParsedConnection,
  serve?: ServeOptions,
): string[] {
  const passwords = [
    fields.password,
    serve?.password,
    typeof connection === 'string' ? connection : undefined,
  ]
  return passwords.filter((password) => typeof password === 'string' && password !== '') as string[]
}

import { configError } from '@tenantry/multi-tenancy/provider'
import type { ConnectionOptions as DriverOptions } from 'mysql2'

/** A connection string (`mysql://…`), or what `createConnection()` of `mysql2` takes. */
export type ConnectionOptions = string | DriverOptions

/** A user of the server, its password and its database. */
export interface Login {
  readonly user: string
  readonly password: string
  readonly database: string | undefined
  /** One user for all tenants: its login does not prove to which tenant the database belongs. */
  readonly isShared?: boolean
}

/**
 * What the query of a connection URL may set: TLS, the local socket, and how values are converted. A list of allowed
 * parameters, because the driver takes any of its options from there: also another user, another host, several statements
 * in one call.
 */
const URL_PARAMETERS: readonly string[] = [
  'bigNumberStrings', 'charset', 'compress', 'connectAttributes', 'connectTimeout', 'dateStrings', 'decimalNumbers',
  'disableEval', 'enableKeepAlive', 'jsonStrings', 'keepAliveInitialDelay', 'maxPreparedStatements', 'namedPlaceholders',
  'nestTables', 'rowsAsArray', 'socketPath', 'ssl', 'stringifyObjects', 'supportBigNumbers', 'timezone', 'trace', 'typeCast',
] // biome-ignore format: one list

/**
 * The options of `mysql2` for a connection, given as these options or as a URL.
 *
 * @param option the name of the option that holds the connection, for messages
 * @throws `config_invalid` for a URL that cannot be used, naming the part
 */
export function driverOptions(connection: ConnectionOptions, option = 'connection'): DriverOptions {
  if (typeof connection !== 'string') return { ...connection }
  const url = parseUrl(connection, option)
  const options: Record<string, unknown> = {}
  for (const [name, text] of url.searchParams) {
    if (!URL_PARAMETERS.includes(name)) {
      throw configError(
        option,
        `the URL sets ${JSON.stringify(name)}, which a URL may not set here. It may set ${URL_PARAMETERS.join(', ')}; ` +
          'give an object for other options of mysql2',
      )
    }
    const value = parseJson(text)
    // As other drivers write it. For mysql2 it is an object: an empty one verifies the server's certificate.
    if (name !== 'ssl' || typeof value !== 'boolean') options[name] = value
    else if (value) options.ssl = {}
  }
  const host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1')
  const isPath = host.startsWith('/')
  if (options.socketPath !== undefined && !['', 'localhost'].includes(host))
    throw configError(option, `the URL names a socket and the host ${JSON.stringify(host)}: use localhost`)
  return {
    ...(isPath ? { socketPath: host } : { host }),
    ...(url.port && { port: Number(url.port) }),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    ...(url.pathname.length > 1 && { database: decodeURIComponent(url.pathname.slice(1)) }),
    ...options,
  }
}

function parseUrl(text: string, option: string): URL {
  const [, authority = ''] = /^mysql:\/\/([^/?#]*)/.exec(text) ?? []
  if (authority.slice(authority.lastIndexOf('@') + 1).includes(',')) {
    throw configError(
      option,
      'the URL names several hosts: use the one address of the cluster, or the option servers for separate servers',
    )
  }
  if (!/^mysql:\/\/./.test(text) || !URL.canParse(text))
    throw configError(option, 'must be a mysql:// URL or an object of options')
  try {
    decodeURIComponent(text)
  } catch {
    throw configError(option, 'contains an unescaped "%" (write %25)')
  }
  return new URL(text)
}

/** The administrator's login. */
export function adminLogin(options: DriverOptions): Login {
  const { user = 'root', password, password1, database } = options
  return { user, password: password ?? password1 ?? '', database }
}

/** The options with another login, without any credential of the administrator. */
export function withLogin(options: DriverOptions, { user, password, database }: Login): DriverOptions {
  const { password1, password2, password3, passwordSha1, database: _, ...rest } = options
  const flags = [rest.flags ?? []].flat().flatMap((flag) => String(flag).split(','))
  return {
    // Prepared statements end with each lease, and to forget them takes the driver as long as it has room for.
    maxPreparedStatements: 100,
    // Without it the driver rounds integers beyond 2^53; with it they are strings.
    supportBigNumbers: true,
    ...rest,
    user,
    password,
    ...(database && { database }),
    // IGNORE_SPACE would hold for a new session, but not after COM_CHANGE_USER. With LOCAL_FILES a statement could make
    // the server ask for a file of the app.
    flags: [...flags, '-IGNORE_SPACE', '-LOCAL_FILES'],
  }
}

/** The options that convert values and rows, without those that open a connection. */
export function formatOptions(options: DriverOptions): DriverOptions {
  const { namedPlaceholders, timezone, stringifyObjects, trace, rowsAsArray, nestTables } = options
  const { typeCast, dateStrings, supportBigNumbers, bigNumberStrings, decimalNumbers } = options
  const chosen = {
    namedPlaceholders, timezone, stringifyObjects, trace, rowsAsArray, nestTables, typeCast, dateStrings,
    supportBigNumbers, bigNumberStrings, decimalNumbers,
  } // biome-ignore format: one list
  return Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== undefined))
}

/** Every secret in the options, for the redactor. */
export function passwordsIn(options: DriverOptions): string[] {
  const { password, password1, password2, password3, passwordSha1 } = options
  const all = [password, password1, password2, password3, passwordSha1]
  return all.filter((each): each is string => typeof each === 'string' && each !== '')
}

function parseJson(value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}

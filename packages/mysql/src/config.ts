import type { ConnectionOptions as DriverOptions } from 'mysql2'
import type { ConnectionOptions } from './options.ts'

/** Who logs in, and where. */
export interface Login {
  readonly user: string
  readonly password: string
  readonly database: string | undefined
  /** One user for all: that it was let in says nothing of whose database it is. */
  readonly shared?: boolean
}

/** What `mysql2` takes, from an object or a URL (whose query parameters are options too, as the driver has it). */
export function driverOptions(connection: ConnectionOptions): DriverOptions {
  if (typeof connection !== 'string') return { ...connection }
  const url = new URL(connection)
  const parameters = [...url.searchParams].map(([name, value]): [string, unknown] => [name, json(value)])
  return {
    host: decodeURIComponent(url.hostname),
    ...(url.port && { port: Number(url.port) }),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    ...(url.pathname.length > 1 && { database: decodeURIComponent(url.pathname.slice(1)) }),
    ...Object.fromEntries(parameters),
  }
}

/** The administrator's login. */
export function adminLogin(options: DriverOptions): Login {
  const { user = 'root', password, password1, database } = options
  return { user, password: password ?? password1 ?? '', database }
}

/** The options with another login, and nothing of the administrator's. */
export function withLogin(options: DriverOptions, { user, password, database }: Login): DriverOptions {
  const { password1, password2, password3, passwordSha1, database: _, ...rest } = options
  const flags = [rest.flags ?? []].flat().flatMap((flag) => String(flag).split(','))
  return {
    // They end with each lease, and to forget them takes the driver as long as there is room for.
    maxPreparedStatements: 100,
    ...rest,
    user,
    password,
    ...(database && { database }),
    // The driver's own flag holds for a new session and not for one that changed its user: no difference, please.
    // And no SQL makes the server ask for a file of ours: the driver would not wait for what it says after that.
    flags: [...flags, '-IGNORE_SPACE', '-LOCAL_FILES'],
  }
}

/** What shapes statements and rows, without what opens a connection. */
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

function json(value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}

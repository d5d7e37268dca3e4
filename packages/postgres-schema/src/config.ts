import type { ClientConfig } from 'pg'
import type { ConnectionOptions, ServeOptions } from './options.ts'

/** The driver's configuration for a connection with some parts replaced. */
export function configOf(
  connection: ConnectionOptions,
  parts: ServeOptions & { readonly options?: string } = {},
): ClientConfig {
  const { ssl, ...named } = parts
  const own = {
    fallback_application_name: 'tenantry',
    keepAlive: true,
    ...(ssl === undefined ? {} : { ssl }),
  }
  if (typeof connection !== 'string') {
    const options = [connection.options, named.options].filter(Boolean).join(' ')
    return { ...own, ...connection, ...own, ...named, ...(options && { options }) }
  }
  // The string keeps what only its parser knows: sslmode, certificates, timeouts.
  const url = new URL(connection)
  if (named.host !== undefined) url.hostname = named.host
  if (named.port !== undefined) url.port = String(named.port)
  if (named.database !== undefined) url.pathname = `/${encodeURIComponent(named.database)}`
  if (named.user !== undefined) {
    url.username = encodeURIComponent(named.user)
    url.password = encodeURIComponent(named.password ?? '')
  }
  const options = [url.searchParams.get('options'), named.options].filter(Boolean).join(' ')
  if (options !== '') url.searchParams.set('options', options)
  return { ...own, connectionString: url.href }
}

/** The passwords in a connection, to be kept out of errors. */
export function passwordsIn(connection: ConnectionOptions, serve?: ServeOptions): string[] {
  const own =
    typeof connection === 'string' ? decodeURIComponent(new URL(connection).password) : connection.password
  const found = [own, serve?.password, typeof connection === 'string' ? connection : undefined]
  return found.filter((each) => typeof each === 'string' && each !== '') as string[]
}

/** The user that a connection logs in as, if it says. */
export function userIn(connection: ConnectionOptions): string | undefined {
  return typeof connection === 'string' ? decodeURIComponent(new URL(connection).username) : connection.user
}

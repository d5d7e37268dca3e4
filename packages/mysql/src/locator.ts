import { type Locator, TenancyError } from '@tenantry/multi-tenancy/provider'

/** One tenant's database, as its locator names it. */
export interface DatabasePlace {
  /** The server's name in the options. */
  readonly server: string
  readonly database: string
  /** Random, and new for each database: a later database of the same name has another id. Names the user too. */
  readonly id: string
}

const USER = 'tenantry_'

/**
 * Names have 64 characters, in GRANT too, where each `_` counts twice. So there is room for a prefix of seven and the
 * core's own separator.
 */
export const MAX_NAME_LENGTH = 56

/** @throws `internal` for any other provider's locator */
export function parseLocator({ server, database, id }: Locator): DatabasePlace {
  if (typeof server !== 'string' || !isName(database) || !isId(id))
    throw new TenancyError('internal', 'The locator is not one of a MySQL database')
  return { server, database: String(database), id: String(id) }
}

export function toLocator({ server, database, id }: DatabasePlace): Locator {
  return { server, database, id }
}

/** Names reach DDL as text, so they are held against the grammar once more. */
export function isName(value: unknown): boolean {
  return typeof value === 'string' && /^[a-z][a-z0-9_-]{0,63}$/.test(value)
}

export function isId(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-v]{23}$/.test(value)
}

/** The tenant's user: MySQL takes 32 characters, which the name of a database would not fit. */
export function userName(id: string): string {
  return USER + id
}

/** The id in a user's name; `undefined` for a user of another application. */
export function parseUserName(user: unknown): string | undefined {
  const id = String(user).slice(USER.length)
  return String(user).startsWith(USER) && isId(id) ? id : undefined
}

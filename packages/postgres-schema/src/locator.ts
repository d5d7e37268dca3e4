import { type ConnectTarget, type Locator, TenancyError } from '@tenantry/multi-tenancy/provider'

/** One tenant's schema, as its locator names it. */
export interface SchemaPlace {
  /** The server's name in the options. */
  readonly server: string
  readonly schema: string
  /** The schema's number in the server's catalogue; 0 where only its role remains. */
  readonly oid: number
  /** Random, created with the schema: a recreated schema of the name has another. It names the role, too. */
  readonly id: string
}

const MARK = 'tenantry:'

/** @throws `internal` for a locator that is not of this provider */
export function parseLocator({ server, schema, oid, id }: Locator): SchemaPlace {
  const fine =
    typeof server === 'string' &&
    isName(schema) &&
    typeof oid === 'number' &&
    Number.isInteger(oid) &&
    isId(id)
  if (!fine) throw new TenancyError('internal', 'The locator is not one of a PostgreSQL schema')
  return { server, schema: String(schema), oid, id: String(id) }
}

export function toLocator({ server, schema, oid, id }: SchemaPlace): Locator {
  return { server, schema, oid, id }
}

/** Names reach DDL as text, so they are held against the grammar once more. */
export function isName(value: unknown): boolean {
  return typeof value === 'string' && /^[a-z][a-z0-9_-]{0,62}$/.test(value)
}

export function isId(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-v]{26}$/.test(value)
}

/** What a client is for. */
export type Purpose = ConnectTarget['purpose']

/** The tenant's roles. Roles belong to the whole server, so a schema's name would not be enough. */
export function roleName(id: string, purpose: Purpose = 'serve'): string {
  return `tenantry_${id}${purpose === 'manage' ? '_owner' : ''}`
}

/** The comment on the schema: it says that Tenantry created it, which incarnation it is, and whether it is closed. */
export function ownershipComment(id: string, access: 'open' | 'closed' = 'open'): string {
  return `${MARK}${id}${access === 'closed' ? ':closed' : ''}`
}

/**
 * The marker of an open schema, which every statement refers to. A collation, because the server finds one by name in its
 * cache, where reading a comment takes a query.
 */
export function openMarker({ schema, id }: Pick<SchemaPlace, 'schema' | 'id'>): string {
  return `"${schema}"."${id}"`
}

/** The id in a schema's comment; `undefined` for a schema of another owner. */
export function idIn(comment: unknown): string | undefined {
  const [, id] = /^tenantry:([0-9a-v]{26})(?::closed)?$/.exec(String(comment)) ?? []
  return id
}

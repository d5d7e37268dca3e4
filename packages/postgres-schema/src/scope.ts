import { escapeIdentifier, escapeLiteral } from 'pg'
import { LEAVE } from './leave.ts'
import { markOf, type SchemaPlace } from './locator.ts'
import { type EncodedSteps, encodeSteps } from './wire.ts'

/** Whose statements they are: what each unit of work on a shared connection begins with. */
export interface Scope {
  readonly place: SchemaPlace
  /** The role to take, or `none`. */
  readonly role: string
  /** The whole `search_path`. */
  readonly path: string
}

/** The tenant's schema alone, and that of extensions where there is one; never `public`. */
export function searchPath(schema: string, extensionsSchema?: string): string {
  return [schema, ...(extensionsSchema === undefined ? [] : [extensionsSchema])]
    .map(escapeIdentifier)
    .join(', ')
}

/**
 * Takes path and role until the transaction ends. The role is the schema's own and random: when the schema was dropped,
 * made anew or shut, taking it fails, in every process.
 */
const ROLE_SCOPE =
  "SELECT pg_catalog.set_config('search_path', $1, true), pg_catalog.set_config('role', $2, true)"

/** One of schema and number, and that the schema is open: its comment says it. Divides by zero if not. */
const PRESENT =
  '1 / (pg_catalog.to_regnamespace($4) = $3::pg_catalog.oid AND coalesce((SELECT description FROM pg_catalog.pg_description ' +
  "WHERE objoid = $3::pg_catalog.oid AND classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND objsubid = 0) = $5, false))::int"

/** The same where all tenants have one role: the catalogue is asked. */
const PATH_SCOPE = `SELECT pg_catalog.set_config('search_path', $1, true), pg_catalog.set_config('role', $2, true), ${PRESENT}`

/**
 * The prepared statements of ours on a connection of our own. `DISCARD ALL` takes them away.
 *
 * @param scope what other tenants that use the connection begin with; `undefined` where it is one tenant's
 */
export function preparations(login: string, scope: 'role' | 'path' | undefined): EncodedSteps {
  const scopes = { role: ROLE_SCOPE, path: PATH_SCOPE }
  const steps = scope === undefined ? [] : [{ name: `tenantry_${scope}`, text: scopes[scope] }]
  const leave = `CALL ${LEAVE}(${escapeLiteral(login)}, ${steps.length + 1}, NULL)`
  steps.push({ name: 'tenantry_leave', text: leave })
  return encodeSteps(steps.map((step) => ({ ...step, prepareOnly: true })))
}

/** What makes the following statements of this transaction the tenant's. */
export function scopeSteps(scope: Scope, own: boolean): EncodedSteps {
  const [name, text, values] =
    scope.role === 'none'
      ? (['tenantry_path', PATH_SCOPE, valuesOf(scope)] as const)
      : (['tenantry_role', ROLE_SCOPE, [scope.path, scope.role]] as const)
  return encodeSteps([own ? { name, values } : { text: inlined(text, values) }])
}

/** Asks in an open transaction what `scopeSteps` asks at the start of one. Where roles say it, `BEGIN` has asked. */
export function presenceSteps(scope: Scope): EncodedSteps {
  return encodeSteps(scope.role === 'none' ? [{ text: inlined(`SELECT ${PRESENT}`, valuesOf(scope)) }] : [])
}

/**
 * What follows a `BEGIN`: plain SETs take no snapshot, so `SET TRANSACTION` is still possible after them. The
 * transaction carries the tenant's name, for whoever has to end it.
 */
export function beginSteps(scope: Scope): EncodedSteps {
  return encodeSteps([
    ...(scope.role === 'none' ? [] : [{ text: `SET LOCAL ROLE ${escapeIdentifier(scope.role)}` }]),
    { text: `SET LOCAL search_path TO ${scope.path}` },
    { text: `SET LOCAL application_name TO ${escapeLiteral(applicationName(scope.place.id))}` },
  ])
}

/** What an open transaction of the tenant is called in `pg_stat_activity`. */
export function applicationName(id: string): string {
  return `tenantry ${id}`
}

/**
 * Undoes what the user's statement may have done to the session. On a connection of our own the row says what is left to
 * `DISCARD ALL`; behind a pooler there is no second chance, so everything goes, found or not.
 */
export function tidySteps(own: boolean): EncodedSteps {
  return own ? TIDY_OWN : TIDY_SHARED
}

const TIDY_OWN = encodeSteps([{ name: 'tenantry_leave' }])
const TIDY_SHARED = encodeSteps([{ text: `CALL ${LEAVE}(NULL, 0, NULL)` }])

function valuesOf({ place, role, path }: Scope): string[] {
  return [path, role, String(place.oid), escapeIdentifier(place.schema), markOf(place.id)]
}

/** Without parameters: a pooler's server connection keeps no prepared statement of ours. */
function inlined(text: string, values: readonly string[]): string {
  return text.replace(/\$(\d)/g, (_, index: string) => escapeLiteral(values[Number(index) - 1] ?? ''))
}

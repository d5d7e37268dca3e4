import { escapeIdentifier, escapeLiteral } from 'pg'
import { markOf, type SchemaPlace } from './locator.ts'
import { type EncodedSteps, encodeSteps, type Step } from './wire.ts'

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

/** Brings the session back to what it was, and says what cannot be brought back without ending the transaction. */
const TIDY: readonly Step[] = [
  // Triggers that were put off would otherwise run at the end, without path and role.
  { name: 'tenantry_constraints', text: 'SET CONSTRAINTS ALL IMMEDIATE' },
  { name: 'tenantry_reset', text: 'RESET ALL' },
  { name: 'tenantry_unlisten', text: 'UNLISTEN *' },
  { name: 'tenantry_sequences', text: 'DISCARD SEQUENCES' },
  { name: 'tenantry_cursors', text: 'CLOSE ALL' },
]

/** One row: whether something is left that takes more than this. */
function leftovers(login: string): Step {
  const text =
    "SELECT pg_catalog.set_config('role', 'none', false), pg_catalog.pg_advisory_unlock_all(), " +
    `pg_catalog.pg_my_temp_schema() <> 0 OR session_user <> ${escapeLiteral(login)} OR ` +
    "EXISTS (SELECT FROM pg_catalog.pg_prepared_statement() WHERE name NOT LIKE 'tenantry%')"
  return { name: 'tenantry_leftovers', text }
}

/** Behind a pooler there is no second chance, so everything goes, found or not. */
const TIDY_SHARED: readonly Step[] = [
  ...TIDY.map(({ text = '' }) => ({ text })),
  { text: 'RESET ROLE' },
  { text: 'DISCARD TEMP' },
  { text: 'SELECT pg_catalog.pg_advisory_unlock_all()' },
]

/** The prepared statements of ours on a connection of our own. `DISCARD ALL` takes them away. */
export function preparations(login: string): EncodedSteps {
  const scopes = [
    { name: 'tenantry_role', text: ROLE_SCOPE },
    { name: 'tenantry_path', text: PATH_SCOPE },
  ]
  return encodeSteps([...scopes, ...TIDY, leftovers(login)].map((step) => ({ ...step, prepareOnly: true })))
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

/** Undoes what the user's statement may have done to the session. */
export function tidySteps(own: boolean): EncodedSteps {
  return own ? TIDY_OWN : TIDY_ALL
}

const TIDY_OWN = encodeSteps([...TIDY, { name: 'tenantry_leftovers' }].map(({ name = '' }) => ({ name })))
const TIDY_ALL = encodeSteps(TIDY_SHARED)

function valuesOf({ place, role, path }: Scope): string[] {
  return [path, role, String(place.oid), escapeIdentifier(place.schema), markOf(place.id)]
}

/** Without parameters: a pooler's server connection keeps no prepared statement of ours. */
function inlined(text: string, values: readonly string[]): string {
  return text.replace(/\$(\d)/g, (_, index: string) => escapeLiteral(values[Number(index) - 1] ?? ''))
}

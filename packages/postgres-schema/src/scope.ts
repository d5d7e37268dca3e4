import { escapeIdentifier, escapeLiteral } from 'pg'
import { markOf, type SchemaPlace } from './locator.ts'
import type { Step } from './unit.ts'

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
 * Takes path and role until the transaction ends, and divides by zero unless the schema is there, is the very one
 * that was meant and is open. So a dropped, shut or remade schema stops the next statement in every process.
 */
const SCOPE =
  "SELECT pg_catalog.set_config('search_path', $1, true), pg_catalog.set_config('role', $2, true), 1 / pg_catalog.count(*) " +
  'FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_description d ON d.objoid = n.oid ' +
  "WHERE n.oid = $3::pg_catalog.oid AND n.nspname = $4 AND d.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass " +
  'AND d.objsubid = 0 AND d.description = $5'

/** Only the question whether the schema is the one that was meant, for a transaction that has its scope already. */
const PRESENT = SCOPE.replace(
  /set_config\('(\w+)', (\$\d), true\)/g,
  (_, __, value: string) => `quote_nullable(${value})`,
)

/** Brings the session back to what it was, and says what cannot be brought back without ending the transaction. */
const TIDY: readonly Step[] = [
  // Triggers that were put off would otherwise run at the end, without path and role.
  { name: 'tenantry_constraints', text: 'SET CONSTRAINTS ALL IMMEDIATE' },
  { name: 'tenantry_reset', text: 'RESET ALL' },
  { name: 'tenantry_unlisten', text: 'UNLISTEN *' },
  { name: 'tenantry_sequences', text: 'DISCARD SEQUENCES' },
]

/** One row: whether something is left that only `DISCARD ALL` takes away. */
function leftovers(login: string): Step {
  const text =
    "SELECT pg_catalog.set_config('role', 'none', false), pg_catalog.pg_advisory_unlock_all(), " +
    `pg_catalog.pg_my_temp_schema() <> 0 OR session_user <> ${escapeLiteral(login)} OR ` +
    'EXISTS (SELECT FROM pg_catalog.pg_cursor() WHERE is_holdable) OR ' +
    "EXISTS (SELECT FROM pg_catalog.pg_prepared_statement() WHERE name NOT LIKE 'tenantry%')"
  return { name: 'tenantry_leftovers', text }
}

/** Behind a pooler there is no second chance, so everything goes, found or not. */
const TIDY_SHARED: readonly Step[] = [
  ...TIDY.map(({ text = '' }) => ({ text })),
  { text: 'RESET ROLE' },
  { text: 'CLOSE ALL' },
  { text: 'DISCARD TEMP' },
  { text: 'SELECT pg_catalog.pg_advisory_unlock_all()' },
]

/** The prepared statements of ours on a connection of our own. `DISCARD ALL` takes them away. */
export function preparations(login: string): Step[] {
  return [{ name: 'tenantry_scope', text: SCOPE }, ...TIDY, leftovers(login)].map((step) => ({
    ...step,
    prepareOnly: true,
  }))
}

/** What makes the following statements of this transaction the tenant's. */
export function scopeSteps(scope: Scope, own: boolean): Step[] {
  const values = valuesOf(scope)
  return [own ? { name: 'tenantry_scope', values } : { text: inlined(SCOPE, values) }]
}

/** Asks in an open transaction what `scopeSteps` asks at the start of one. */
export function presenceSteps(scope: Scope): Step[] {
  return [{ text: inlined(PRESENT, valuesOf(scope)) }]
}

/**
 * What follows a `BEGIN`: plain SETs take no snapshot, so `SET TRANSACTION` is still possible after them. The
 * transaction carries the tenant's name, for whoever has to end it.
 */
export function beginSteps(scope: Scope): Step[] {
  return [
    ...(scope.role === 'none' ? [] : [{ text: `SET LOCAL ROLE ${escapeIdentifier(scope.role)}` }]),
    { text: `SET LOCAL search_path TO ${scope.path}` },
    { text: `SET LOCAL application_name TO ${escapeLiteral(applicationName(scope.place.id))}` },
  ]
}

/** What an open transaction of the tenant is called in `pg_stat_activity`. */
export function applicationName(id: string): string {
  return `tenantry ${id}`
}

/** Undoes what the user's statement may have done to the session. */
export function tidySteps(own: boolean): readonly Step[] {
  return own ? [...TIDY, { name: 'tenantry_leftovers' }].map(({ name = '' }) => ({ name })) : TIDY_SHARED
}

function valuesOf({ place, role, path }: Scope): string[] {
  return [path, role, String(place.oid), place.schema, markOf(place.id)]
}

/** Without parameters: a pooler's server connection keeps no prepared statement of ours. */
function inlined(text: string, values: readonly string[]): string {
  return text.replace(/\$(\d)/g, (_, index: string) => escapeLiteral(values[Number(index) - 1] ?? ''))
}

import { escapeIdentifier, escapeLiteral } from 'pg'
import { openMarker, type SchemaPlace } from '../locator.ts'
import { loginCheck } from './login.ts'

/** The tenant whose statements run on a shared connection, in SQL terms. */
export interface Scope {
  readonly place: SchemaPlace
  /** The role to take; `undefined` where the login is the tenant's, or is shared by all. */
  readonly role?: string
  /** The whole `search_path`. */
  readonly path: string
  /** The login that each transaction is checked for, where a pooler chooses the session. */
  readonly login?: string
}

/** The tenant's schema alone, followed by the schema of extensions if there is one; never `public`. */
export function searchPath(schema: string, extensionsSchema?: string): string {
  return [schema, ...(extensionsSchema === undefined ? [] : [extensionsSchema])]
    .map(escapeIdentifier)
    .join(', ')
}

/**
 * SQL that gives the rest of a transaction (`LOCAL`) or of a session the tenant's scope. The role is random and belongs to
 * one schema: once that was dropped, created again or closed, taking the role fails in every process.
 *
 * Plain SETs take no snapshot, so that SET TRANSACTION is still possible behind them. `DISCARD ALL` keeps the seed of
 * `random()`, so each scope sets another one: a tenant must not choose the next tenant's random numbers.
 */
export function scopeSettings({ role, path }: Scope, level: 'LOCAL' | 'SESSION'): string {
  return [
    `SET seed TO ${randomSeed()}`,
    ...(role === undefined ? [] : [`SET ${level} ROLE ${escapeIdentifier(role)}`]),
    `SET ${level} search_path TO ${path}`,
  ].join('; ')
}

/**
 * SQL that begins a transaction of the tenant's. Where there is something to check, one SELECT does all of it: each
 * further statement costs the server more than an expression does.
 */
export function beginScoped(scope: Scope): string {
  const checks = scopeChecks(scope)
  if (checks.length === 0) return `BEGIN; ${scopeSettings(scope, 'LOCAL')}`
  const settings = [['search_path', scope.path], ...(scope.role === undefined ? [] : [['role', scope.role]])]
  const expressions = settings.map(
    ([name, value]) => `pg_catalog.set_config('${name}', ${escapeLiteral(value ?? '')}, true)`,
  )
  return `BEGIN; SELECT ${[...checks, `pg_catalog.setseed(${randomSeed()})`, ...expressions].join(', ')}`
}

/** Names the tenant in `pg_stat_activity`, so that any process can end the session when the tenant is closed. */
export function nameSession({ place }: Scope, level: 'LOCAL' | 'SESSION'): string {
  return `SET ${level} application_name TO ${escapeLiteral(applicationName(place.id))}`
}

/** The `application_name` of a tenant's transactions and sessions. */
export function applicationName(id: string): string {
  return `tenantry ${id}`
}

/**
 * A query that fails when the schema is closed, where no role says so, or when the session has another login;
 * `undefined` where there is nothing to check. It has to begin its transaction.
 */
export function scopeCheck(scope: Scope): string | undefined {
  const checks = scopeChecks(scope)
  return checks.length === 0 ? undefined : `SELECT ${checks.join(', ')}`
}

function scopeChecks({ place, role, login }: Scope): string[] {
  return [
    ...(login === undefined ? [] : [loginCheck(login)]),
    ...(role === undefined ? [`${escapeLiteral(openMarker(place))}::pg_catalog.regcollation`] : []),
  ]
}

/**
 * The same in a transaction that began earlier. It reads a table, because inside a transaction the server learns what
 * other sessions have dropped when it opens one.
 */
export function lateScopeCheck(scope: Scope): string | undefined {
  const check = scopeCheck(scope)
  return check === undefined ? undefined : `${check} FROM pg_catalog.pg_collation LIMIT 1`
}

/** Numbers are drawn many at a time, because each draw has a high fixed cost. */
const random = new Uint32Array(512)
let left = 0

/** A number of 15 random digits between 0 and 1. */
function randomSeed(): string {
  if (left === 0) left = crypto.getRandomValues(random).length
  const high = (random[--left] ?? 0) % 1e8
  const low = (random[--left] ?? 0) % 1e7
  return `0.${String(high).padStart(8, '0')}${String(low).padStart(7, '0')}`
}

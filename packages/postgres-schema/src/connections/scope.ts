import { escapeIdentifier, escapeLiteral } from 'pg'
import { type SchemaPlace, signOf } from '../locator.ts'
import { loginCheck } from './login.ts'
import { LEAVE } from './reset.ts'
import type { Unit } from './unit.ts'
import { COPY_FAIL, type EncodedSteps, encodeSteps, NO_STEPS, SEED } from './wire.ts'

/** Whose statements they are: what each unit of work on a shared connection begins with. */
export interface Scope {
  readonly place: SchemaPlace
  /** The role to take, or `none`. */
  readonly role: string
  /** The whole `search_path`. */
  readonly path: string
  /** The login that each transaction is checked for, where a pooler chooses the session. */
  readonly login?: string
}

/** The tenant's schema alone, and that of extensions where there is one; never `public`. */
export function searchPath(schema: string, extensionsSchema?: string): string {
  return [schema, ...(extensionsSchema === undefined ? [] : [extensionsSchema])]
    .map(escapeIdentifier)
    .join(', ')
}

/**
 * What makes the following statements of this transaction the tenant's: path and role until it ends. The role is the
 * schema's own and random: when the schema was dropped, made anew or shut, taking it fails, in every process. Where all
 * tenants have one role, the schema's sign says it.
 */
export function scopeSteps(scope: Scope): EncodedSteps {
  return encodeSteps([scopeText(scope)])
}

/**
 * Nothing but another seed takes one away, and one that somebody chose makes everybody's random numbers known: each scope
 * brings its own. This one, before a BEGIN, takes no snapshot.
 */
export const NEW_SEED: string = `SET seed TO '${SEED}'`

function scopeText(scope: Scope): string {
  const seed = `pg_catalog.setseed('${SEED}')`
  const settings = [`pg_catalog.set_config('search_path', ${escapeLiteral(scope.path)}, true)`]
  if (scope.role !== 'none')
    settings.push(`pg_catalog.set_config('role', ${escapeLiteral(scope.role)}, true)`)
  return `SELECT ${[seed, ...presenceOf(scope), ...settings].join(', ')}`
}

/**
 * Asks in an open transaction what `scopeSteps` asks at the start of one. Where roles say it, `BEGIN` has asked. The server
 * takes in what others have dropped since then when it opens a table, not when it looks for a collation.
 */
export function presenceSteps(scope: Scope): EncodedSteps {
  return encodeSteps(presenceOf(scope).map((asked) => `SELECT ${asked} FROM pg_catalog.pg_collation LIMIT 1`))
}

function presenceOf({ place, role, login }: Scope): string[] {
  return [
    ...(login === undefined ? [] : [loginCheck(login)]),
    ...(role === 'none' ? [`${escapeLiteral(signOf(place))}::pg_catalog.regcollation`] : []),
  ]
}

/**
 * What follows a `BEGIN`: plain SETs take no snapshot, so `SET TRANSACTION` is still possible after them. The
 * transaction carries the tenant's name, for whoever has to end it.
 */
export function beginSteps(scope: Scope): EncodedSteps {
  return encodeSteps([
    ...(scope.role === 'none' ? [] : [`SET LOCAL ROLE ${escapeIdentifier(scope.role)}`]),
    `SET LOCAL search_path TO ${scope.path}`,
    `SET LOCAL application_name TO ${escapeLiteral(applicationName(scope.place.id))}`,
  ])
}

/** What an open transaction of the tenant is called in `pg_stat_activity`. */
export function applicationName(id: string): string {
  return `tenantry ${id}`
}

/** Undoes what statements before it may have done to the session. */
const LEAVING_SHARED = `CALL ${LEAVE}()`

/** With a statement after which the session is as new. */
export const LEAVE_ALONE: Unit = { before: NO_STEPS, after: COPY_FAIL, leaves: 'behind' }

/** The same where the session is a pooler's: with what ends a transaction that failed. */
export const LEAVE_SHARED: Unit = { before: NO_STEPS, after: encodeSteps([LEAVING_SHARED]), leaves: 'within' }

/** With the end of a transaction there, after which the pooler may give the session to another client. */
export const LEAVE_FIRST: Unit = { before: encodeSteps([LEAVING_SHARED]), after: NO_STEPS }

/**
 * A statement of its own there: in a transaction block, so that no procedure commits in the middle, and that one that failed
 * keeps its session until it was undone.
 */
export function sharedUnit(scope: Scope | undefined, before: readonly string[] = []): Unit {
  const steps = [...before, 'BEGIN', ...(scope === undefined ? [] : [scopeText(scope)])]
  return { before: encodeSteps(steps), after: encodeSteps([LEAVING_SHARED, 'COMMIT']), leaves: 'within' }
}

/** What brings a transaction that failed there to its end, before anything else: it is undone in one of its own. */
export const UNDO_SHARED: readonly string[] = ['ROLLBACK', 'BEGIN', LEAVING_SHARED, 'COMMIT']

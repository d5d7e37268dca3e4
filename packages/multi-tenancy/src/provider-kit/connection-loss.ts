import { TenancyError } from '../errors.ts'

/** The database that a provider finds under the name of a client's database; `undefined` where it finds none. */
export interface DatabaseStatus {
  /** It is the same database, not one that was created under the name since. */
  readonly same: boolean
  /** `setAccess` closed it. */
  readonly closed?: boolean
}

export interface ConnectionLossOptions {
  /** The error to return where the database has not changed. Without secrets. */
  readonly cause?: unknown
  /** Of the client's `ConnectTarget`. */
  readonly onDatabaseGone?: (() => void) | undefined
}

/**
 * Says of a client that was refused what became of its database, alike for every provider, and calls `onDatabaseGone` when it is
 * gone or was made anew: also where the cause says so.
 *
 * @param found as it is now; `{ same: true }` where nobody knows
 * @returns `tenant_not_found`, `stale_tenant` or `tenant_suspended`, else the cause itself
 * @example
 * const found = await find(name).catch(() => ({ same: true }))
 * throw classifyConnectionError(found, { cause: mapError(error), onDatabaseGone })
 */
export function classifyConnectionError(
  found: DatabaseStatus | undefined,
  { cause, onDatabaseGone }: ConnectionLossOptions = {},
): unknown {
  const refusal = refusalFor(found, cause) ?? cause
  if (refusal instanceof TenancyError && LOST.has(refusal.code)) onDatabaseGone?.()
  return refusal
}

const LOST: ReadonlySet<string> = new Set(['tenant_not_found', 'stale_tenant'])

function refusalFor(found: DatabaseStatus | undefined, cause: unknown): TenancyError | undefined {
  if (found === undefined)
    return new TenancyError('tenant_not_found', 'The tenant’s database is gone', { cause })
  if (!found.same) return new TenancyError('stale_tenant', 'Another database has this name now', { cause })
  if (found.closed) return new TenancyError('tenant_suspended', 'The tenant’s database is closed', { cause })
  return undefined
}

import { TenancyError } from '../errors.ts'

/** What a provider finds under the name of a database that a client was made for; where there is nothing, `undefined`. */
export interface DatabaseStatus {
  /** It is that very database, and no other that was made under the name since. */
  readonly same: boolean
  /** `setAccess` closed it. */
  readonly closed?: boolean
}

export interface ConnectionLossOptions {
  /** What the client's user is told where the database is as it was. Without secrets. */
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

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
 * Explains, in the same way for every provider, why a client was refused. Calls `onDatabaseGone` when the database is gone or
 * was recreated, according to `status` or to the cause.
 *
 * @param status the state of the database now; `{ same: true }` when it is unknown
 * @returns `tenant_not_found`, `stale_tenant` or `tenant_suspended`, else the cause itself
 * @example
 * const status = await find(name).catch(() => ({ same: true }))
 * throw classifyConnectionError(status, { cause: mapError(error), onDatabaseGone })
 */
export function classifyConnectionError(
  status: DatabaseStatus | undefined,
  { cause, onDatabaseGone }: ConnectionLossOptions = {},
): unknown {
  const refusal = createRefusal(status, cause) ?? cause
  if (refusal instanceof TenancyError && GONE_CODES.has(refusal.code)) onDatabaseGone?.()
  return refusal
}

const GONE_CODES: ReadonlySet<string> = new Set(['tenant_not_found', 'stale_tenant'])

function createRefusal(status: DatabaseStatus | undefined, cause: unknown): TenancyError | undefined {
  if (status === undefined)
    return new TenancyError('tenant_not_found', "The tenant's database is gone", { cause })
  if (!status.same) return new TenancyError('stale_tenant', 'Another database has this name now', { cause })
  if (status.closed) return new TenancyError('tenant_suspended', "The tenant's database is closed", { cause })
  return undefined
}

import type { TenancyErrorCode } from '@tenantry/multi-tenancy/provider'

/** An error of the database, as the libSQL clients throw it. Each entry of the driver has a class of its own. */
export interface SqlError extends Error {
  /** Such as `SQLITE_CONSTRAINT`. */
  readonly code: string
  readonly extendedCode?: string
  /** SQLite's own number, for database files only. */
  readonly rawCode?: number
}

/** Whether a libSQL client threw the error. Checked by name, because there are several classes. */
export function isSqlError(error: unknown): error is SqlError {
  return (
    error instanceof Error &&
    (error.name === 'LibsqlError' || error.name === 'LibsqlBatchError') &&
    typeof (error as { code?: unknown }).code === 'string'
  )
}

/** Whether another connection holds the lock. */
export function isBusy(error: unknown): boolean {
  return isSqlError(error) && (error.code.startsWith('SQLITE_BUSY') || error.code.startsWith('SQLITE_LOCKED'))
}

/** Whether reads or writes are blocked, by the database's configuration or by a limit. */
export function isBlocked(error: unknown): boolean {
  return isSqlError(error) && /(?:^|_)BLOCKED$/.test(error.code)
}

const CODES: Readonly<Record<string, TenancyErrorCode>> = {
  SQLITE_AUTH: 'provider_rejected',
  SQLITE_BUSY: 'provider_unavailable',
  SQLITE_CANTOPEN: 'provider_unavailable',
  SQLITE_FULL: 'quota_exceeded',
  SQLITE_IOERR: 'provider_unavailable',
  SQLITE_LOCKED: 'provider_unavailable',
  SQLITE_NOMEM: 'provider_unavailable',
  // The database or its plan is over a limit: https://docs.turso.tech/help/usage-and-billing
  BLOCKED: 'quota_exceeded',
  SQL_READ_BLOCKED: 'quota_exceeded',
  SQL_WRITE_BLOCKED: 'quota_exceeded',
  // sqld ends a transaction after five seconds, and an idle stream after ten.
  TRANSACTION_TIMEOUT: 'timeout',
  STREAM_EXPIRED: 'timeout',
  HRANA_CLOSED_ERROR: 'provider_unavailable',
  HRANA_PROTO_ERROR: 'provider_unavailable',
  CLIENT_CLOSED: 'closed',
}

/** Our code for the driver's. An unknown one means that the database refused a statement. */
export function classifySqlError({ code }: SqlError): TenancyErrorCode {
  return CODES[code] ?? CODES[/^SQLITE_[A-Z]+/.exec(code)?.[0] ?? ''] ?? 'provider_rejected'
}

/**
 * Whether a statement of the caller failed: the database refused it, or the driver its arguments (`TypeError`,
 * `RangeError`) or a value in its result. Callers get the driver's own error for that.
 */
export function isStatementError(error: unknown): error is Error {
  if (isSqlError(error)) return classifySqlError(error) === 'provider_rejected'
  return error instanceof TypeError || error instanceof RangeError
}

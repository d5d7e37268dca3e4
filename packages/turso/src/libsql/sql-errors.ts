import type { TenancyErrorCode } from '@tenantry/multi-tenancy/provider'

/** What the libSQL clients throw for an answer of the database; told by name, since each entry has a copy of the class. */
export interface SqlError extends Error {
  /** Such as `SQLITE_CONSTRAINT`. */
  readonly code: string
  readonly extendedCode?: string
  /** SQLite's own number, where the database is a file. */
  readonly rawCode?: number
}

/** Whether a libSQL client threw it. */
export function isSqlError(error: unknown): error is SqlError {
  return (
    error instanceof Error &&
    (error.name === 'LibsqlError' || error.name === 'LibsqlBatchError') &&
    typeof (error as { code?: unknown }).code === 'string'
  )
}

/** Another connection holds the lock. */
export function isBusy(error: unknown): boolean {
  return isSqlError(error) && (error.code.startsWith('SQLITE_BUSY') || error.code.startsWith('SQLITE_LOCKED'))
}

/** Reads or writes are blocked: by its configuration, or because a limit was met. */
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
  // sqld ends a transaction after five seconds, and a stream nobody uses after ten.
  TRANSACTION_TIMEOUT: 'timeout',
  STREAM_EXPIRED: 'timeout',
  HRANA_CLOSED_ERROR: 'provider_unavailable',
  HRANA_PROTO_ERROR: 'provider_unavailable',
  CLIENT_CLOSED: 'closed',
}

/** Our code for theirs; everything else is a statement the database refused. */
export function codeOf({ code }: SqlError): TenancyErrorCode {
  return CODES[code] ?? CODES[/^SQLITE_[A-Z]+/.exec(code)?.[0] ?? ''] ?? 'provider_rejected'
}

/** The database refused a statement: native code expects the driver's own error for that. */
export function isRefusedStatement(error: unknown): error is SqlError {
  return isSqlError(error) && codeOf(error) === 'provider_rejected'
}

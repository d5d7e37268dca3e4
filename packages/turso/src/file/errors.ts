import { TenancyError, type TenancyErrorCode } from '@tenantry/multi-tenancy'
import { codeOf, isRefusedStatement, isSqlError } from '../sql-errors.ts'

/** Node's codes for files; any other file error is `provider_rejected`. */
const FILE_CODES: Readonly<Record<string, TenancyErrorCode>> = {
  EAGAIN: 'provider_unavailable',
  EBUSY: 'provider_unavailable',
  EDQUOT: 'quota_exceeded',
  EIO: 'provider_unavailable',
  EMFILE: 'provider_unavailable',
  ENFILE: 'provider_unavailable',
  ENOSPC: 'quota_exceeded',
}

/** The driver's only word for a file that it cannot open: SQLite's number is at the end of a text. */
const CANNOT_OPEN = /^ConnectionFailed\(.*: (\d+)"?\)$/s

/** The coded error for whatever the native client or the file system threw. */
export function mapError(cause: unknown): TenancyError {
  if (cause instanceof TenancyError) return cause
  if (isSqlError(cause)) return coded(codeOf(cause), cause.message, cause)
  if (!(cause instanceof Error)) return new TenancyError('internal', 'Something failed', { cause })
  const { code } = cause as { code?: unknown }
  if (CANNOT_OPEN.test(cause.message))
    return coded('provider_unavailable', 'The database file did not open', cause)
  if (typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return TenancyError.from(cause)
  return coded(FILE_CODES[code] ?? 'provider_rejected', `The file system answered ${code}`, cause)
}

function coded(code: TenancyErrorCode, message: string, cause: Error): TenancyError {
  return new TenancyError(code, message, {
    cause,
    ...(code === 'provider_unavailable' ? { retryAfter: 1 } : {}),
  })
}

/** The SQL errors that say nothing bad of the connection: the statement failed, was undone and is over. */
export function leavesNoDoubt(error: unknown): boolean {
  if (error instanceof TenancyError) return error.code === 'statement_refused'
  return (
    isSqlError(error) && /^SQLITE_(?:AUTH|CONSTRAINT|ERROR|MISMATCH|RANGE|READONLY|TOOBIG)/.test(error.code)
  )
}

/** Throws a refused statement's error as the driver made it, and everything else coded. */
export function surface(error: unknown): never {
  throw isRefusedStatement(error) ? error : mapError(error)
}

/** For the file system’s errors that are no failure. */
export function ignore(...codes: string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes(String((error as { code?: unknown }).code))) throw error
    return undefined
  }
}

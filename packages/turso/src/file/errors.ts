import {
  createErrorMap,
  type ErrorMap,
  TenancyError,
  type TenancyErrorCode,
} from '@tenantry/multi-tenancy/provider'
import { codeOf, isRefusedStatement, isSqlError } from '../libsql/sql-errors.ts'

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

const errors = createErrorMap({
  classify(error) {
    if (isSqlError(error)) return codeOf(error)
    const { code } = error as { code?: unknown }
    if (CANNOT_OPEN.test(error.message))
      return { code: 'provider_unavailable', message: 'The database file did not open', retryAfter: 1 }
    if (typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return 'internal'
    const ours = FILE_CODES[code] ?? 'provider_rejected'
    const retry = ours === 'provider_unavailable' ? { retryAfter: 1 } : {}
    return { code: ours, message: `The file system answered ${code}`, ...retry }
  },
  isRefusedStatement,
})

/** The coded error for whatever the native client or the file system threw. */
export const mapError: ErrorMap['mapError'] = errors.mapError

/** The SQL errors that say nothing bad of the connection: the statement failed, was undone and is over. */
export function leavesNoDoubt(error: unknown): boolean {
  if (error instanceof TenancyError) return error.code === 'statement_refused'
  return (
    isSqlError(error) && /^SQLITE_(?:AUTH|CONSTRAINT|ERROR|MISMATCH|RANGE|READONLY|TOOBIG)/.test(error.code)
  )
}

/** Throws a refused statement's error as the driver made it, and everything else coded. */
export function surface(error: unknown): never {
  throw errors.toClientError(error)
}

/** For the file system’s errors that are no failure. */
export function ignore(...codes: string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes(String((error as { code?: unknown }).code))) throw error
    return undefined
  }
}

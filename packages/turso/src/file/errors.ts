import {
  createErrorMap,
  type ErrorMap,
  TenancyError,
  type TenancyErrorCode,
} from '@tenantry/multi-tenancy/provider'
import { classifySqlError, isSqlError, isStatementError } from '../libsql/sql-errors.ts'

/** Our codes for Node's file errors. Any other file error is `provider_rejected`. */
const FILE_CODES: Readonly<Record<string, TenancyErrorCode>> = {
  EAGAIN: 'provider_unavailable',
  EBUSY: 'provider_unavailable',
  EDQUOT: 'quota_exceeded',
  EIO: 'provider_unavailable',
  EMFILE: 'provider_unavailable',
  ENFILE: 'provider_unavailable',
  ENOSPC: 'quota_exceeded',
}

/** The driver's error for a file that it cannot open has no code, only SQLite's number at the end of its text. */
const CANNOT_OPEN = /^ConnectionFailed\(.*: (\d+)"?\)$/s

const errors = createErrorMap({
  classify(error) {
    if (isSqlError(error)) return classifySqlError(error)
    if (CANNOT_OPEN.test(error.message)) {
      return { code: 'provider_unavailable', message: 'The database file could not be opened', retryAfter: 1 }
    }
    const { code: nativeCode } = error as { code?: unknown }
    if (typeof nativeCode !== 'string' || !/^E[A-Z]+$/.test(nativeCode)) return 'internal'
    const code = FILE_CODES[nativeCode] ?? 'provider_rejected'
    const retry = code === 'provider_unavailable' ? { retryAfter: 1 } : {}
    return { code, message: `The file system reported ${nativeCode}`, ...retry }
  },
  isRefusedStatement: isStatementError,
})

/** The coded error for anything that the native client or the file system threw. */
export const mapError: ErrorMap['mapError'] = errors.mapError

/** Whether the connection can be used again after this error: the statement failed, was undone and is finished. */
export function leavesConnectionClean(error: unknown): boolean {
  if (error instanceof TenancyError) return error.code === 'statement_refused'
  return (
    isSqlError(error) && /^SQLITE_(?:AUTH|CONSTRAINT|ERROR|MISMATCH|RANGE|READONLY|TOOBIG)/.test(error.code)
  )
}

/** Throws a refused statement's error as the driver created it, and any other error with a code. */
export function throwClientError(error: unknown): never {
  throw errors.toClientError(error)
}

/** A handler for `catch` that turns these errors of the file system into `undefined`. */
export function ignoreCodes(...codes: string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes(String((error as { code?: unknown }).code))) throw error
    return undefined
  }
}

import {
  classifyHttpError,
  createErrorMap,
  type ErrorClassification,
  type ErrorMap,
  HttpError,
  type Redactor,
  type TenancyErrorCode,
} from '@tenantry/multi-tenancy/provider'

/** Cloudflare's codes for a database and for a Worker that do not exist. */
const DATABASE_NOT_FOUND = 7404
export const WORKER_NOT_FOUND = 10007

/** Whether Cloudflare reports that the database does not exist. Other 404s, such as a proxy's, do not count. */
export function isDatabaseMissing(error: unknown): boolean {
  return error instanceof HttpError && error.codes.includes(DATABASE_NOT_FOUND)
}

/** Whether a Worker did not exist; the request was not carried out then. */
export function isWorkerMissing(error: unknown): boolean {
  return error instanceof HttpError && error.codes.includes(WORKER_NOT_FOUND)
}

/** A statement over one of D1's limits, found before anything was sent. */
export class StatementLimitError extends Error {
  override readonly name = 'StatementLimitError'
  /** The statement's position in its batch. */
  readonly statementIndex: number

  constructor(statementIndex: number, message: string) {
    super(message)
    this.statementIndex = statementIndex
  }
}

/** @param redactor has the API token and every key */
export function createD1ErrorMap(redactor: Redactor): ErrorMap {
  const hasSecret = (text: string): boolean => redactor.text(text) !== text
  return createErrorMap({
    redactor,
    classify: classifyError,
    isRefusedStatement: (error) => isStatementError(error) && !hasSecret(`${error.message}${error.stack}`),
  })
}

function classifyError(error: Error): ErrorClassification {
  if (isWorkerMissing(error)) {
    return { code: 'tenant_not_ready', message: 'The tenant Worker does not exist yet', retryAfter: 5 }
  }
  if (error instanceof HttpError) return classifyApiError(error)
  if (error instanceof StatementLimitError) return { code: 'provider_rejected' }
  if (!isD1Error(error)) return { code: 'internal' }
  return { ...classifyD1Message(error.message), message: error.message.slice(0, 1_000) }
}

/** @see https://developers.cloudflare.com/d1/observability/debug-d1/ */
const API_CODES: Readonly<Record<string, TenancyErrorCode>> = {
  7400: 'provider_rejected',
  7403: 'credentials_rejected',
  7404: 'tenant_not_found',
  7406: 'quota_exceeded',
  9109: 'credentials_rejected',
  10000: 'credentials_rejected',
}

/** Seconds for which Cloudflare blocks a token that exceeded its rate limit. */
const RATE_LIMIT_BLOCK = 300

/** Cloudflare's code decides, except for 7500: a rejected statement with status 400, an outage with status 500. */
function classifyApiError(error: HttpError): ErrorClassification {
  const byStatus = classifyHttpError(error)
  if (byStatus.code === 'rate_limited') {
    return { ...byStatus, retryAfter: error.retryAfter ?? RATE_LIMIT_BLOCK }
  }
  if (byStatus.code === 'provider_unavailable') return byStatus
  const code = error.codes.map((apiCode) => API_CODES[apiCode]).find((known) => known !== undefined)
  if (code !== undefined) return { ...byStatus, code }
  // Not documented: the request may have been carried out.
  return error.status === 200 ? { ...byStatus, code: 'provider_unavailable' } : byStatus
}

/** SQLite's code ends the message of a statement that SQLite rejected. */
const SQLITE_CODE = /: SQLITE_([A-Z]+)(?: \(extended: [A-Z_]+\))?$/
/** Codes for which the same statement may succeed later. */
const SQLITE_TRANSIENT: ReadonlySet<string> = new Set(['BUSY', 'LOCKED', 'IOERR', 'NOMEM'])

/** Faults of D1 itself that pass: the same statement may succeed later. */
const TRANSIENT =
  /internal error|overloaded|too many requests queued|reset because|was reset|caused object to be reset|network connection lost|transient issue|storage operation exceeded timeout/i
const FULL = /exceeded maximum DB size|exceeds? .*storage limit/i
const MISSING = /database .*(?:not found|does not exist|was deleted)|could not be found/i

/** @see https://developers.cloudflare.com/d1/observability/debug-d1/#error-list */
function classifyD1Message(message: string): ErrorClassification {
  const sqliteCode = SQLITE_CODE.exec(message)?.[1]
  if (sqliteCode === 'FULL') return { code: 'quota_exceeded' }
  if (sqliteCode !== undefined) {
    return SQLITE_TRANSIENT.has(sqliteCode)
      ? { code: 'provider_unavailable', retryAfter: 1 }
      : { code: 'provider_rejected' }
  }
  // `exec` quotes its text before the reason, and that text could contain any of the phrases above.
  const reason = message.startsWith('D1_EXEC_ERROR: ') ? message.slice(message.lastIndexOf(': ')) : message
  const unquoted = reason.replaceAll(/"[^"]*"/g, '')
  if (FULL.test(unquoted)) return { code: 'quota_exceeded' }
  if (MISSING.test(unquoted)) return { code: 'tenant_not_found' }
  if (TRANSIENT.test(unquoted)) return { code: 'provider_unavailable', retryAfter: 1 }
  return { code: 'provider_rejected' }
}

/** Whether D1 threw the error. Its errors have no class and no code, only these prefixes. */
export function isD1Error(error: unknown): error is Error {
  return (
    error instanceof Error &&
    /^D1(?:_[A-Z]+)?(?:_ERROR|_COLUMN_NOTFOUND|_SESSION_ERROR)?: /.test(error.message)
  )
}

/**
 * Whether the error is of a statement, busy and full databases included: apps then receive D1's own error. Failures of
 * D1 or of the connection get a code.
 */
function isStatementError(error: unknown): error is Error {
  if (!isD1Error(error)) return false
  const { code } = classifyD1Message(error.message)
  return SQLITE_CODE.test(error.message) || code === 'provider_rejected' || code === 'quota_exceeded'
}

/** The error that a binding throws for a rejected statement. */
export function createD1Error(message: string): Error {
  return new Error(`D1_ERROR: ${message}`, { cause: new Error(message) })
}

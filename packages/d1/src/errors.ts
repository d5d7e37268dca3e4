import {
  createErrorMap,
  type ErrorClassification,
  type ErrorMap,
  type Redactor,
  type TenancyErrorCode,
} from '@tenantry/multi-tenancy'
import { ApiError, isMissingWorker } from './control-plane/strict-fetch.ts'

/** A statement that D1 would refuse for its size: found before anything is sent. */
export class LimitError extends Error {
  override readonly name = 'LimitError'
  /** Its place in the batch. */
  readonly statementIndex: number

  constructor(statementIndex: number, message: string) {
    super(message)
    this.statementIndex = statementIndex
  }
}

/** @param redactor knows the API token and every key */
export function d1Errors(redactor: Redactor): ErrorMap {
  const isClean = (text: string): boolean => redactor.text(text) === text
  return createErrorMap({
    redactor,
    classify: (error) => ({ ...refusal(error), message: redactor.text(messageOf(error)).slice(0, 1_000) }),
    isRefusedStatement: (error) => isRefusedStatement(error) && isClean(`${error.message}${error.stack}`),
  })
}

function messageOf(error: Error): string {
  return error instanceof ApiError && error.said !== '' ? `${error.message}: ${error.said}` : error.message
}

function refusal(cause: Error): ErrorClassification {
  if (isMissingWorker(cause)) return { code: 'tenant_not_ready', retryAfter: 5 }
  if (cause instanceof ApiError) return refusalOfApi(cause)
  if (cause instanceof LimitError) return { code: 'provider_rejected' }
  return isD1Error(cause) ? refusalOfD1(cause.message) : { code: 'internal' }
}

/** @see https://developers.cloudflare.com/d1/observability/debug-d1/ */
const API_CODES: Readonly<Record<number, TenancyErrorCode>> = {
  7400: 'provider_rejected',
  7403: 'credentials_rejected',
  7404: 'tenant_not_found',
  7406: 'quota_exceeded',
  9109: 'credentials_rejected',
  10000: 'credentials_rejected',
}

/** By Cloudflare's own code, then by HTTP status; 7500 is a refused statement or an outage, which only the status says. */
function refusalOfApi({ status, codes, retryAfter }: ApiError): ErrorClassification {
  if (status === 429) return { code: 'rate_limited', retryAfter: retryAfter ?? 300 }
  if (status === 0 || status === 408 || status >= 500) return { code: 'provider_unavailable', retryAfter }
  for (const code of codes) {
    const known = API_CODES[code]
    if (known !== undefined) return { code: known }
  }
  if (status === 401 || status === 403) return { code: 'credentials_rejected' }
  // Not as documented, and nobody knows what was done.
  if (status === 200) return { code: 'provider_unavailable', retryAfter }
  return { code: 'provider_rejected' }
}

/** What D1 says when it is its own fault, or passes: the same statement may succeed again. */
const TRANSIENT =
  /internal error|overloaded|too many requests queued|reset because|was reset|caused object to be reset|network connection lost|transient issue|storage operation exceeded timeout|SQLITE_(?:BUSY|LOCKED|IOERR|NOMEM)/i
const FULL = /exceeded maximum DB size|SQLITE_FULL|exceeds? .*storage limit/i
const GONE = /database .*(?:not found|does not exist|was deleted)|could not be found/i

/** @see https://developers.cloudflare.com/d1/observability/debug-d1/#error-list */
function refusalOfD1(message: string): ErrorClassification {
  // SQLite quotes what it was given: only what D1 itself says counts.
  const said = message.replaceAll(/"[^"]*"/g, '')
  if (FULL.test(said)) return { code: 'quota_exceeded' }
  if (GONE.test(said) && !/SQLITE_/.test(said)) return { code: 'tenant_not_found' }
  if (TRANSIENT.test(said)) return { code: 'provider_unavailable', retryAfter: 1 }
  return { code: 'provider_rejected' }
}

/** Whether D1 threw it; its errors have no class and no code, but start like this. */
export function isD1Error(error: unknown): error is Error {
  return (
    error instanceof Error &&
    /^D1(?:_[A-Z]+)?(?:_ERROR|_COLUMN_NOTFOUND|_SESSION_ERROR)?: /.test(error.message)
  )
}

/** The database refused a statement: native code expects D1's own error for that. */
export function isRefusedStatement(error: unknown): error is Error {
  return isD1Error(error) && refusalOfD1(error.message).code === 'provider_rejected'
}

/** D1's error for what SQLite said, as a binding throws it. */
export function d1Error(message: string): Error {
  return new Error(`D1_ERROR: ${message}`, { cause: new Error(message) })
}

import { type Redactor, TenancyError, type TenancyErrorCode } from '@tenantry/multi-tenancy'
import { ApiError, isMissingWorker } from './http.ts'

/** Turns what was thrown into errors an app may see. */
export interface ErrorMap {
  /** The coded error, without secrets, for anything a member or a client in use threw. */
  mapError(cause: unknown): TenancyError
  /**
   * What a client's user gets: D1's own error (`D1_ERROR: no such table …`) where the database refused a statement,
   * as native code expects; else the coded one.
   */
  tell(error: unknown): unknown
}

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
export function createErrorMap(redactor: Redactor): ErrorMap {
  function mapError(cause: unknown): TenancyError {
    if (cause instanceof TenancyError) return cause
    const clean = redactor.error(cause) ?? new Error('Something failed')
    const message = redactor.text(messageOf(cause)).slice(0, 1_000)
    const { code, retryAfter } = refusal(cause)
    return new TenancyError(code, message, {
      cause: clean,
      ...(retryAfter === undefined ? {} : { retryAfter }),
    })
  }

  function tell(error: unknown): unknown {
    const own =
      isRefusedStatement(error) &&
      redactor.text(`${error.message}${error.stack}`) === `${error.message}${error.stack}`
    return own ? error : mapError(error)
  }
  return { mapError, tell }
}

function messageOf(cause: unknown): string {
  if (cause instanceof ApiError && cause.said !== '') return `${cause.message}: ${cause.said}`
  return cause instanceof Error ? cause.message : 'Something failed'
}

interface Refusal {
  readonly code: TenancyErrorCode
  readonly retryAfter?: number | undefined
}

function refusal(cause: unknown): Refusal {
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
function refusalOfApi({ status, codes, retryAfter }: ApiError): Refusal {
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
function refusalOfD1(message: string): Refusal {
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

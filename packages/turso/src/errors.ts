import { type Redactor, TenancyError, type TenancyErrorCode } from '@tenantry/multi-tenancy'
import { HttpError } from './http.ts'
import { codeOf, isRefusedStatement, isSqlError } from './sql-errors.ts'

/** Turns what was thrown into errors an app may see. */
export interface ErrorMap {
  /** The coded error, without secrets, for anything a member or a client in use threw. */
  mapError(cause: unknown): TenancyError
  /**
   * What a client's user gets: the driver's own error where the database refused a statement, as native code
   * expects; else the coded one.
   */
  tell(error: unknown): unknown
  /** Throws it. */
  surface(error: unknown): never
}

/** @param redactor knows the platform token and every token minted */
export function createErrorMap(redactor: Redactor): ErrorMap {
  function mapError(cause: unknown): TenancyError {
    if (cause instanceof TenancyError) return cause
    const clean = redactor.error(cause)
    if (cause instanceof HttpError) {
      const { code, message, retryAfter } = refusal(cause)
      return new TenancyError(code, redactor.text(message), {
        cause: clean,
        ...(retryAfter === undefined ? {} : { retryAfter }),
      })
    }
    const inner = httpErrorIn(cause)
    if (inner !== undefined) return mapError(inner)
    const message = redactor.text(cause instanceof Error ? cause.message : 'Something failed')
    if (!isSqlError(cause)) return new TenancyError('internal', message, { cause: clean })
    const code = codeOf(cause)
    const retry = code === 'provider_unavailable' ? { retryAfter: 1 } : {}
    return new TenancyError(code, message, { cause: clean, ...retry })
  }

  function tell(error: unknown): unknown {
    const own = isRefusedStatement(error) && httpErrorIn(error) === undefined
    return own && redactor.text(textIn(error)) === textIn(error) ? error : mapError(error)
  }

  function surface(error: unknown): never {
    throw tell(error)
  }
  return { mapError, tell, surface }
}

/** The refusal that a libSQL error came from: its stream passes on what `fetch` threw as a cause, if at all. */
export function httpErrorIn(error: unknown): HttpError | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof HttpError) return at
  }
  return undefined
}

function textIn(error: Error): string {
  let text = ''
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    text += `${at.message}\n${at.stack}\n`
  }
  return text
}

interface Refusal {
  readonly code: TenancyErrorCode
  readonly message: string
  readonly retryAfter?: number | undefined
}

function refusal(error: HttpError): Refusal {
  const { status, retryAfter, plane, message } = error
  if (status === 0) return { code: 'provider_unavailable', message: message || 'No answer from Turso' }
  const text = `Turso answered ${status}${message === '' ? '' : `: ${message}`}`
  if (status === 429) return { code: 'rate_limited', message: text, retryAfter }
  if (status === 408 || status === 425 || status >= 500) {
    return { code: 'provider_unavailable', message: text, retryAfter }
  }
  if (status === 402) return { code: 'quota_exceeded', message: text }
  return plane === 'data' ? dataRefusal(status, text) : platformRefusal(error, text)
}

function dataRefusal(status: number, text: string): Refusal {
  if (status === 401) return { code: 'credentials_rejected', message: text }
  if (status === 404) {
    // A new database answers 404 for seconds: https://github.com/tursodatabase/libsql-client-ts/issues/346
    return { code: 'tenant_not_ready', message: 'The tenant database does not answer yet', retryAfter: 2 }
  }
  return { code: 'provider_rejected', message: text }
}

function platformRefusal({ status, words, serviceCode = '' }: HttpError, text: string): Refusal {
  const overPlan = serviceCode.startsWith('feature_not_available') || /\b(?:plan|quota)\b/i.test(words)
  if (overPlan) return { code: 'quota_exceeded', message: text }
  if (/group\s+not found/i.test(words))
    return { code: 'provider_rejected', message: `${text} (option group)` }
  const refused = status === 401 || (status === 403 && !/protect/i.test(words))
  return { code: refused ? 'credentials_rejected' : 'provider_rejected', message: text }
}

import { createErrorMap, type ErrorMap, type ErrorMeaning, type Redactor } from '@tenantry/multi-tenancy'
import { HttpError } from './http.ts'
import { codeOf, isRefusedStatement, isSqlError } from './libsql/sql-errors.ts'

/** The core's map, and its `tell` for what catches. */
export interface TursoErrors extends ErrorMap {
  /** Throws what `tell` says. */
  surface(error: unknown): never
}

/** @param redactor knows the platform token and every token minted */
export function tursoErrors(redactor: Redactor): TursoErrors {
  const isClean = (text: string): boolean => redactor.text(text) === text
  const errors = createErrorMap({
    redactor,
    meaningOf(error) {
      const inner = httpErrorIn(error)
      if (inner !== undefined) return refusal(inner)
      return isSqlError(error) ? codeOf(error) : 'internal'
    },
    isRefusedStatement: (error) =>
      isRefusedStatement(error) && httpErrorIn(error) === undefined && isClean(textIn(error)),
  })
  return {
    ...errors,
    surface(error) {
      throw errors.tell(error)
    },
  }
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

function refusal(error: HttpError): ErrorMeaning {
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

function dataRefusal(status: number, text: string): ErrorMeaning {
  if (status === 401) return { code: 'credentials_rejected', message: text }
  if (status === 404) {
    // A new database answers 404 for seconds: https://github.com/tursodatabase/libsql-client-ts/issues/346
    return { code: 'tenant_not_ready', message: 'The tenant database does not answer yet', retryAfter: 2 }
  }
  return { code: 'provider_rejected', message: text }
}

function platformRefusal({ status, words, serviceCode = '' }: HttpError, text: string): ErrorMeaning {
  const overPlan = serviceCode.startsWith('feature_not_available') || /\b(?:plan|quota)\b/i.test(words)
  if (overPlan) return { code: 'quota_exceeded', message: text }
  if (/group\s+not found/i.test(words))
    return { code: 'provider_rejected', message: `${text} (option group)` }
  const refused = status === 401 || (status === 403 && !/protect/i.test(words))
  return { code: refused ? 'credentials_rejected' : 'provider_rejected', message: text }
}

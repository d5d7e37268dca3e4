import {
  classifyHttpError,
  createErrorMap,
  type ErrorClassification,
  type ErrorMap,
  HttpError,
  type Redactor,
} from '@tenantry/multi-tenancy/provider'
import { detailWithoutNames, isPlatformError } from './control-plane/platform-api.ts'
import { classifySqlError, isSqlError, isStatementError } from './libsql/sql-errors.ts'

/** The core's error map, with a function that throws. */
export interface TursoErrors extends ErrorMap {
  /** Throws what `toClientError` returns. */
  throwClientError(error: unknown): never
}

/** @param redactor has the platform token and every token that was minted */
export function createTursoErrors(redactor: Redactor): TursoErrors {
  const hasNoSecret = (text: string): boolean => redactor.text(text) === text
  const errors = createErrorMap({
    redactor,
    classify(error) {
      const httpError = findHttpError(error)
      if (httpError !== undefined) return classify(httpError)
      if (isSqlError(error)) return classifySqlError(error)
      return isTimeout(error) ? 'timeout' : 'internal'
    },
    isRefusedStatement: (error) =>
      isStatementError(error) && findHttpError(error) === undefined && hasNoSecret(fullText(error)),
  })
  return {
    ...errors,
    throwClientError(error) {
      throw errors.toClientError(error)
    },
  }
}

/** Whether the time of a request ended while the driver read its response. */
function isTimeout(error: Error): boolean {
  return [...causeChain(error)].some(({ name }) => name === 'TimeoutError')
}

/** The `HttpError` behind a libSQL error: the client's stream keeps what `fetch` threw as a cause. */
export function findHttpError(error: unknown): HttpError | undefined {
  return [...causeChain(error)].find((cause) => cause instanceof HttpError)
}

function* causeChain(error: unknown): Generator<Error> {
  for (
    let current = error, depth = 0;
    current instanceof Error && depth < 5;
    current = current.cause, depth++
  ) {
    yield current
  }
}

function fullText(error: Error): string {
  return [...causeChain(error)].map(({ message, stack }) => `${message}\n${stack}`).join('\n')
}

function classify(error: HttpError): ErrorClassification {
  return isPlatformError(error) ? classifyPlatformError(error) : classifyDatabaseError(error)
}

function classifyDatabaseError(error: HttpError): ErrorClassification {
  // A new database answers 404 for seconds: https://github.com/tursodatabase/libsql-client-ts/issues/346
  if (error.status === 404) {
    return { code: 'tenant_not_ready', message: 'The tenant database does not respond yet', retryAfter: 2 }
  }
  const meaning = classifyHttpError(error)
  return error.status === 403 ? { ...meaning, code: 'provider_rejected' } : meaning
}

function classifyPlatformError(error: HttpError): ErrorClassification {
  const meaning = classifyHttpError(error)
  const { code, message } = meaning
  if (code !== 'provider_rejected' && code !== 'credentials_rejected') return meaning
  const text = detailWithoutNames(error)
  const hasPlanCode = error.codes.some((code) => String(code).startsWith('feature_not_available'))
  if (hasPlanCode || /\b(?:plan|quota)\b/i.test(text)) return { ...meaning, code: 'quota_exceeded' }
  if (/group\s+not found/i.test(text)) {
    return { code: 'provider_rejected', message: `${message} (option group)` }
  }
  return error.status === 403 && /protect/i.test(text) ? { ...meaning, code: 'provider_rejected' } : meaning
}

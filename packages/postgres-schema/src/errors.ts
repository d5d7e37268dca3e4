import {
  createErrorMap,
  type ErrorMap,
  isNetworkError,
  isTlsError,
  type Redactor,
  TenancyError,
  type TenancyErrorCode,
} from '@tenantry/multi-tenancy/provider'

/** SQLSTATEs, or the first two characters of a class; any other is `provider_rejected`. */
const CODES: Readonly<Record<string, TenancyErrorCode>> = {
  '08': 'provider_unavailable',
  '28': 'credentials_rejected',
  '40001': 'provider_unavailable',
  '40P01': 'provider_unavailable',
  '53100': 'quota_exceeded',
  '53': 'provider_unavailable',
  '55006': 'provider_unavailable',
  '55P03': 'provider_unavailable',
  '57014': 'timeout',
  '57P04': 'provider_rejected',
  '57P': 'provider_unavailable',
  '58': 'provider_unavailable',
}

/** The driver's own words, which have no code. */
const LOST = /connection terminated|timeout expired|not queryable|connection error|client was closed/i

/** @param redactor knows the passwords and the secret */
export function postgresErrors(redactor: Redactor): ErrorMap {
  return createErrorMap({
    redactor,
    classify(error) {
      if (!isState(error, '53200')) return toCode(error)
      return {
        code: 'provider_unavailable',
        message: `${error.message} (see max_locks_per_transaction)`,
        retryAfter: 1,
      }
    },
    isRefusedStatement: isStatementError,
  })
}

/**
 * Whether the server rejected a statement of the app, also for a deadlock, a serialization failure, a lock or a
 * timeout: the app receives the driver's own error, because it may retry by `code`. A connection that was lost, refused
 * or ended is not the statement's fault.
 */
function isStatementError(error: unknown): boolean {
  return isServerError(error) && !/^(?:08|28|53300|57P)/.test(error.code)
}

function toCode(error: Error): TenancyErrorCode {
  const { code } = error as { code?: unknown }
  if (isServerError(error)) {
    const state = String(code)
    return CODES[state] ?? CODES[state.slice(0, 3)] ?? CODES[state.slice(0, 2)] ?? 'provider_rejected'
  }
  if (/query read timeout/i.test(error.message)) return 'timeout'
  if (isTlsError(error) || /does not support ssl/i.test(error.message)) return 'config_invalid'
  if (/^SASL: .*password must be/i.test(error.message)) return 'credentials_rejected'
  if (isNetworkError(error) || LOST.test(error.message)) return 'provider_unavailable'
  return 'internal'
}

/** Whether the server itself sent the error. */
export function isServerError(error: unknown): error is Error & { code: string } {
  if (!(error instanceof Error)) return false
  const { code, severity } = error as { code?: unknown; severity?: unknown }
  return typeof severity === 'string' && typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)
}

/** Whether the server sent an error with one of these SQLSTATEs. */
export function isState(error: unknown, ...states: readonly string[]): boolean {
  return isServerError(error) && states.includes(error.code)
}

/** Whether the role itself may not log in: with a state that others share, but from a place of its own in the server. */
export function isLoginRefused(error: unknown): boolean {
  return isState(error, '28000') && (error as { routine?: unknown }).routine === 'InitializeSessionUserId'
}

/**
 * Whether a statement's failure leaves no doubt about its connection: the server answered, and goes on listening.
 * (The severity would say it too, but is translated.)
 */
export function leavesNoDoubt(error: unknown): boolean {
  if (error instanceof TenancyError)
    return error.code === 'not_supported' || error.code === 'statement_refused'
  return isServerError(error) && !/^(?:08|57P|58|XX)/.test(error.code)
}

import { TenancyError } from '../errors.ts'
import type { ErrorContext, OnError, ReportError } from '../types/error-report.ts'

/** Codes of 503 that say what state a tenant is in: nothing failed. */
const STATES: ReadonlySet<string> = new Set(['tenant_suspended', 'tenant_not_ready'])

/** Errors that were handed to a hook: of one that passes several places each would report it. */
const reported = new WeakSet<TenancyError>()

/**
 * Hands each server fault (status 500 and above) to the hook, once.
 *
 * @param mapError turns a caught error into a coded one without secrets
 */
export function createErrorReporter(
  onError: OnError = logError,
  mapError: (cause: unknown) => TenancyError = TenancyError.from,
): ReportError {
  return (cause, context) => {
    const error = mapError(cause)
    if (error.status < 500 || STATES.has(error.code) || reported.has(error)) return
    if (context.retry === undefined) reported.add(error)
    try {
      const outcome = onError(error, { ...context, tenantId: context.tenantId ?? error.tenantId })
      Promise.resolve(outcome).catch((failure: unknown) => hookFailed(failure, error, context))
    } catch (failure) {
      hookFailed(failure, error, context)
    }
  }
}

/** Keeps an error from being reported: another process, or an earlier call, did that. */
export function markReported(error: TenancyError): TenancyError {
  reported.add(error)
  return error
}

function hookFailed(failure: unknown, error: TenancyError, context: ErrorContext): void {
  logError(TenancyError.from(failure), { operation: 'onError' })
  logError(error, context)
}

/** The default hook: one line of JSON for each fault, and for the first retry of a call. */
export function logError(error: TenancyError, { operation, tenantId, retry }: ErrorContext): void {
  if (retry !== undefined && retry.attempt > 1) return
  const { message, code, step, cause } = error
  const line = {
    level: retry === undefined ? 'error' : 'warn',
    message: maskUrls(message),
    code,
    tenant: tenantId ?? error.tenantId,
    operation,
    step,
    retry,
    cause: describeCause(cause),
    // The place of a mistake in code of the app or ours; of an unreachable server it says nothing.
    stack: code === 'internal' ? readStack(cause ?? error) : undefined,
  }
  console.error(JSON.stringify(line))
}

/** Names, messages and codes of the causes: other members of a driver's error may hold what it was configured with. */
function describeCause(cause: unknown): string | undefined {
  const parts: string[] = []
  for (let error = cause; error !== undefined && error !== null && parts.length < 5; ) {
    if (!(error instanceof Error)) {
      if (typeof error === 'string') parts.push(error)
      break
    }
    const { code } = error as { code?: unknown }
    const shown = typeof code === 'string' && !error.message.includes(code) ? ` (${code})` : ''
    parts.push(`${error.name}: ${error.message}${shown}`)
    error = error.cause
  }
  return parts.length === 0 ? undefined : maskUrls(parts.join('; caused by '))
}

function readStack(error: unknown): string | undefined {
  return error instanceof Error && error.stack !== undefined ? maskUrls(error.stack) : undefined
}

/** Passwords in URLs, which drivers and apps put into their messages. */
function maskUrls(text: string): string {
  return text.replace(/(:\/\/[^\s:/@]*:)[^\s/@]+@/g, '$1[redacted]@')
}

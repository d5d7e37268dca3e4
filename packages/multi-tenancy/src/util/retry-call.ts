import { TenancyError, type TenancyErrorCode } from '../errors.ts'
import type { CallOptions } from '../types/provider.ts'
import { connectionFailure } from './connection-failure.ts'
import type { Environment } from './environment.ts'
import { type RetryOptions, retry } from './retry.ts'
import { withTimeout } from './timeout.ts'

export interface RetryCallOptions extends Pick<RetryOptions, 'onRetry'> {
  /** Milliseconds for all attempts together. */
  readonly timeout: number
  /** Turns a thrown error into a coded one. */
  readonly mapError: (cause: unknown) => TenancyError
  /** Named in the error. */
  readonly step: string
  readonly tenantId: string
  /** A retryable code that is not worth another attempt here. */
  readonly final?: TenancyErrorCode
}

/** Milliseconds for which a server may refuse connections, as one that restarts does, before the call fails. */
const REFUSED_BUDGET = 5_000

// setTimeout fires immediately for a longer delay.
const LONGEST_TIMER = 2 ** 31 - 1

/**
 * Calls a provider until it succeeds, fails for good, or the time is up. Waits as long as the service asked for
 * (`Retry-After`), else with the back-off of `retry`. A host without an address fails immediately, a server that
 * refuses connections within seconds: neither is likely to pass, and a caller waits. `work` must be safe to repeat.
 *
 * @throws the last error, with step and tenant; `timeout` when `work` itself does not return in time
 */
export async function retryCall<Value>(
  environment: Environment,
  { timeout, mapError, step, tenantId, final, onRetry }: RetryCallOptions,
  work: (options: CallOptions) => Promise<Value>,
): Promise<Value> {
  const { now } = environment
  const deadline = now() + Math.min(timeout, LONGEST_TIMER)
  let refusedSince: number | undefined

  function isRetryable(cause: unknown): boolean | number {
    const error = cause as TenancyError
    const failure = connectionFailure(error)
    refusedSince = failure === 'refused' ? (refusedSince ?? now()) : undefined
    if (!error.retryable || error.code === final || failure === 'unresolvable') return false
    const delay = error.retryAfter === undefined ? true : error.retryAfter * 1_000
    return refusedSince !== undefined && now() + Number(delay) >= refusedSince + REFUSED_BUDGET
      ? false
      : delay
  }

  try {
    return await retry(environment, { timeout: deadline - now(), isRetryable, onRetry }, () =>
      withTimeout(deadline - now(), work).catch((cause: unknown) => {
        throw mapError(cause)
      }),
    )
  } catch (error) {
    throw locateError(error as TenancyError, step, tenantId)
  }
}

/** The same error with the step and tenant of its call, unless it names them already. */
export function locateError(error: TenancyError, step: string, tenantId: string): TenancyError {
  if (error.step !== undefined && error.tenantId !== undefined) return error
  const { code, detail, cause, retryAfter } = error
  return new TenancyError(code, detail, {
    cause,
    tenantId: error.tenantId ?? tenantId,
    step: error.step ?? step,
    retryAfter,
  })
}

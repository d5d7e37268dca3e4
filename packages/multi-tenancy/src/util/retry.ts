import { TenancyError, type TenancyErrorCode } from '../errors.ts'
import type { CallOptions } from '../types/provider.ts'
import type { Environment } from './environment.ts'

export interface RetryOptions {
  /** Milliseconds for all tries together. */
  readonly timeout: number
  /** Gives whatever was thrown its code. */
  readonly mapError: (cause: unknown) => TenancyError
  /** Named in the error. */
  readonly step: string
  readonly tenantId: string
  /** A code that is not worth another try here, though it is retryable. */
  readonly final?: TenancyErrorCode
}

const BASE_DELAY = 100
const MAX_DELAY = 5_000
const MICROTASKS = 30

/**
 * Calls `work` until it succeeds, fails for good, or the time is up. Waits what the service asked for
 * (`Retry-After`), else an exponential delay with full jitter. `work` must be safe to repeat.
 *
 * @throws the last error, with step and tenant; `timeout` when `work` itself does not return in time
 */
export async function retry<Value>(
  environment: Environment,
  { timeout, mapError, step, tenantId, final }: RetryOptions,
  work: (options: CallOptions) => Promise<Value>,
): Promise<Value> {
  // A longer delay makes setTimeout fire at once.
  const deadline = environment.now() + Math.min(timeout, 2 ** 31 - 1)
  for (let attempt = 0; ; attempt++) {
    try {
      return await within(deadline - environment.now(), work)
    } catch (cause) {
      const error = mapError(cause)
      const backoff = Math.min(MAX_DELAY, BASE_DELAY * 2 ** attempt) * environment.random()
      const delay = error.retryAfter === undefined ? backoff : error.retryAfter * 1_000
      if (!error.retryable || error.code === final || environment.now() + delay >= deadline)
        throw located(error, step, tenantId)
      await environment.sleep(delay)
    }
  }
}

/** The same error with the step and tenant it happened in, unless it already says. */
export function located(error: TenancyError, step: string, tenantId: string): TenancyError {
  if (error.step !== undefined && error.tenantId !== undefined) return error
  const { code, detail, cause, retryAfter } = error
  return new TenancyError(code, detail, {
    cause,
    tenantId: error.tenantId ?? tenantId,
    step: error.step ?? step,
    retryAfter,
  })
}

/**
 * Stops waiting after `ms`, also for a driver that ignores the signal. Timers and signals are dear in a Worker, and
 * opening a tenant that is known waits for nothing: what is done within so many microtasks gets none.
 */
async function within<Value>(ms: number, work: (options: CallOptions) => Promise<Value>): Promise<Value> {
  let controller: AbortController | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let settled = false
  const call = {
    get signal() {
      controller ??= new AbortController()
      return controller.signal
    },
  }
  const result = work(call).finally(() => {
    settled = true
    if (timer) clearTimeout(timer)
  })
  for (let turn = 0; turn < MICROTASKS && !settled; turn++) await undefined
  if (settled) return result
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new TenancyError('timeout', 'No answer in time')
      reject(error)
      controller ??= new AbortController()
      controller.abort(error)
    }, ms)
  })
  return Promise.race([result, late])
}

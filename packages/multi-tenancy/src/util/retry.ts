import type { Environment } from './environment.ts'

/** How often and how long something is tried again. */
export interface RetryOptions {
  /** Attempts in all. @default Infinity */
  readonly attempts?: number
  /** Milliseconds after which no further attempt begins. @default Infinity */
  readonly timeout?: number
  /** Milliseconds before the second attempt, about; each further delay is twice as long. @default 100 */
  readonly baseDelay?: number
  /** Milliseconds of the longest delay. @default 5_000 */
  readonly maxDelay?: number
  /** Ends the delay before the next attempt, and all attempts; the error is its reason. */
  readonly signal?: AbortSignal | undefined
  /**
   * Whether a failure may pass. A number is the delay in milliseconds that a service asked for.
   *
   * @default every failure may
   */
  readonly isRetryable?: (error: unknown) => boolean | number
  /** Called before each delay. */
  readonly onRetry?: ((error: unknown, retry: { attempt: number; delay: number }) => void) | undefined
}

type Clock = Pick<Environment, 'now' | 'sleep' | 'random'>

/**
 * Calls `work` until it succeeds, fails for good, or the attempts or the time are used up. Delays grow exponentially,
 * with full jitter, so that callers which failed together do not come back together.
 *
 * @param work must be safe to repeat; receives the number of the attempt, from 1
 * @throws the last error of `work`, or the reason of the signal
 */
export async function retry<Value>(
  clock: Clock,
  options: RetryOptions,
  work: (attempt: number) => Promise<Value>,
): Promise<Value> {
  const { attempts = Infinity, timeout = Infinity, baseDelay = 100, maxDelay = 5_000 } = options
  const { signal, isRetryable = () => true, onRetry } = options
  const deadline = clock.now() + timeout
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted()
    try {
      return await work(attempt)
    } catch (error) {
      const verdict = isRetryable(error)
      const backOff = Math.min(maxDelay, baseDelay * 2 ** (attempt - 1)) * clock.random()
      const delay = typeof verdict === 'number' ? verdict : backOff
      if (verdict === false || attempt >= attempts || clock.now() + delay >= deadline) throw error
      onRetry?.(error, { attempt, delay })
      await sleepUnlessAborted(clock, delay, signal)
    }
  }
}

const NOT_YET = Symbol('not yet')

/**
 * Calls `check` until it resolves with something other than `undefined`, with the delays of `retry`.
 *
 * @returns `undefined` when the attempts or the time are used up
 * @throws what `check` throws, or the reason of the signal
 */
export async function poll<Value>(
  clock: Clock,
  options: Omit<RetryOptions, 'isRetryable'>,
  check: (attempt: number) => Promise<Value | undefined>,
): Promise<Value | undefined> {
  try {
    return await retry(clock, { ...options, isRetryable: (error) => error === NOT_YET }, async (attempt) => {
      const value = await check(attempt)
      if (value === undefined) throw NOT_YET
      return value
    })
  } catch (error) {
    if (error === NOT_YET) return undefined
    throw error
  }
}

async function sleepUnlessAborted(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return clock.sleep(ms)
  if (signal.aborted) return
  let stop: (() => void) | undefined
  const aborted = new Promise<void>((resolve) => {
    stop = resolve
    signal.addEventListener('abort', stop, { once: true })
  })
  await Promise.race([clock.sleep(ms), aborted])
  if (stop !== undefined) signal.removeEventListener('abort', stop)
}

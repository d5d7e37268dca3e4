import { TenancyError } from '@tenantry/multi-tenancy'

/** Holds calls back while a service wants them to wait. */
export interface RateGate {
  /**
   * Lets a call through. What it returns is to be told how the service answered.
   *
   * @throws `rate_limited` while the gate is shut
   */
  enter(): (answer: { readonly status: number; readonly retryAfter: number | undefined }) => void
}

/** Seconds: longer than this no `Retry-After` is believed, for one far date would stop an app for good. */
export const LONGEST_WAIT = 300
/** Milliseconds that all others wait for the one call which finds out whether a long wait is over. */
const TRIAL = 10_000

/** Once one call is told to wait, none is sent until then; after the longest wait, one alone. */
export function createRateGate(now: () => number): RateGate {
  let shutUntil = 0
  /** The service may have meant longer than it was believed. */
  let doubtful = false
  return {
    enter() {
      const wait = (shutUntil - now()) / 1_000
      if (wait > 0) throw new TenancyError('rate_limited', 'Turso asked to wait', { retryAfter: wait })
      const trial = doubtful
      if (trial) shutUntil = now() + TRIAL
      return ({ status, retryAfter }) => {
        if (status === 429 && retryAfter !== undefined) {
          shutUntil = now() + retryAfter * 1_000
          doubtful = retryAfter >= LONGEST_WAIT
        } else if (trial && status !== 429) {
          shutUntil = 0
          doubtful = false
        }
      }
    },
  }
}

import { TenancyError } from '../errors.ts'
import { MAX_RETRY_AFTER, parseRetryAfter } from './retry-after.ts'

/** Holds requests back while a service wants fewer. */
export interface RateGate {
  /**
   * Lets one request through and returns a function that is called with its response.
   *
   * @throws `rate_limited` while no request may be sent
   */
  enter(): (response: Pick<Response, 'status' | 'headers'>) => void
}

/** Milliseconds that other requests wait for the one that tests whether a long wait is over. */
const TRIAL = 10_000

/**
 * After a 429 with `Retry-After`, no request is sent until that time. A service may mean longer than
 * `MAX_RETRY_AFTER`, so after that longest wait a single request tests the service first.
 *
 * @param service begins the error's message
 */
export function createRateGate(service: string, now: () => number): RateGate {
  let closedUntil = 0
  let needsTrial = false
  return {
    enter() {
      const wait = (closedUntil - now()) / 1_000
      if (wait > 0) {
        throw new TenancyError(
          'rate_limited',
          `${service} limits requests; none is sent for ${Math.ceil(wait)} s`,
          {
            retryAfter: wait,
          },
        )
      }
      const isTrial = needsTrial
      if (isTrial) closedUntil = now() + TRIAL
      return ({ status, headers }) => {
        const retryAfter = parseRetryAfter(headers, now())
        if (status === 429 && retryAfter !== undefined) {
          closedUntil = now() + retryAfter * 1_000
          needsTrial = retryAfter >= MAX_RETRY_AFTER
        } else if (isTrial && status !== 429) {
          closedUntil = 0
          needsTrial = false
        }
      }
    },
  }
}

import { jsonReply } from '../http.ts'
import type { FaultEffect, FaultTarget } from './fault-engine.ts'

/** A rate limit. Turso documents none, so every figure here is the test's own. */
export interface RateLimitOptions {
  /** @default 'platform' */
  readonly operation?: FaultTarget['operation'] | undefined
  readonly database?: string | undefined
  /** Requests let through before the window of refusals begins. @default 0 */
  readonly limit?: number | undefined
  /** How long every request is refused, in milliseconds of the emulator's clock. @default 60_000 */
  readonly windowMs?: number | undefined
  /** The form of the `retry-after` header (RFC 9110 section 10.2.3 has both), or none. @default 'seconds' */
  readonly retryAfter?: 'seconds' | 'http-date' | 'none' | undefined
}

/**
 * Lets `limit` requests through, then refuses every one until `windowMs` after the first refusal, then starts
 * over; with a limit of 0 there is one window and then no limit. Being refused does not lengthen the window.
 */
export function createRateLimit(options: RateLimitOptions, now: () => number): FaultEffect {
  const { limit = 0, windowMs = 60_000, retryAfter = 'seconds' } = options
  let allowance = limit
  let blockedUntil: number | undefined
  return {
    name: 'rateLimit',
    instead: () => {
      if (blockedUntil !== undefined && now() >= blockedUntil) {
        blockedUntil = undefined
        allowance = limit === 0 ? Number.POSITIVE_INFINITY : limit
      }
      if (blockedUntil === undefined && allowance > 0) {
        allowance -= 1
        return undefined
      }
      blockedUntil ??= now() + windowMs
      return jsonReply(429, { error: 'too many requests' }, retryHeader(retryAfter, blockedUntil, now()))
    },
  }
}

function retryHeader(
  form: 'seconds' | 'http-date' | 'none',
  until: number,
  now: number,
): Record<string, string> {
  if (form === 'none') return {}
  // Rounded up: a client that waits this long must not come too early.
  const seconds = Math.max(1, Math.ceil((until - now) / 1000))
  return {
    'retry-after': form === 'seconds' ? String(seconds) : new Date(now + seconds * 1000).toUTCString(),
  }
}

import type { FaultEffect } from '../fault-engine.ts'
import { jsonReply } from '../http.ts'
import type { Call } from './call.ts'

/** A rate limit; the defaults are the service's: 1,200 requests in 5 minutes, then 5 minutes of refusals. */
export interface CloudflareRateLimitOptions {
  /** Requests let through in a window. @default 1200 */
  readonly limit?: number | undefined
  /** The window's length, in milliseconds of the emulator's clock. @default 300_000 */
  readonly windowMs?: number | undefined
  /** How long everything is refused once the limit was passed, in milliseconds. @default 300_000 */
  readonly blockMs?: number | undefined
  /** Whether `retry-after` is sent with a refusal. @default true */
  readonly retryAfter?: boolean | undefined
}

/**
 * Counts requests in windows that begin with a request. The first one over the limit is refused, and so is every one
 * until `blockMs` after it; being refused does not lengthen the block.
 *
 * @see https://developers.cloudflare.com/fundamentals/api/reference/limits/
 */
export function createRateLimit(options: CloudflareRateLimitOptions, now: () => number): FaultEffect<Call> {
  const { limit = 1200, windowMs = 300_000, blockMs = 300_000, retryAfter = true } = options
  let windowEnd = Number.NEGATIVE_INFINITY
  let used = 0
  let blockedUntil = Number.NEGATIVE_INFINITY
  // Rounded up: a client that waits this long must not come too early.
  const secondsTo = (time: number): number => Math.max(1, Math.ceil((time - now()) / 1000))
  const headers = (until: number): Record<string, string> => ({
    ratelimit: `"default";r=${Math.max(0, limit - used)};t=${secondsTo(until)}`,
    'ratelimit-policy': `"default";q=${limit};w=${Math.round(windowMs / 1000)}`,
  })
  return {
    name: 'rateLimit',
    instead: () => {
      if (now() >= windowEnd && now() >= blockedUntil) {
        windowEnd = now() + windowMs
        used = 0
      }
      if (now() >= blockedUntil) {
        used += 1
        if (used <= limit) return undefined
        blockedUntil = now() + blockMs
        windowEnd = blockedUntil
      }
      const errors = [{ code: 10_429, message: 'More than the allowed requests. Please wait and try again.' }]
      const body = { success: false, errors, messages: [], result: null }
      const wait = retryAfter ? { 'retry-after': String(secondsTo(blockedUntil)) } : {}
      return jsonReply(429, body, { ...headers(blockedUntil), ...wait })
    },
    headers: () => headers(windowEnd),
  }
}

import { parseRetryAfter, type RateGate, TenancyError } from '@tenantry/multi-tenancy/provider'

/**
 * The requests that one API token may still send. Cloudflare grants a token 1,200 requests in 5 minutes, for all its
 * APIs together, and rejects every request for 5 minutes once they are used up. So all providers of this process that
 * have the token share one budget, and no request is sent that would be rejected.
 *
 * @see https://developers.cloudflare.com/fundamentals/api/reference/limits/
 */
export interface RequestBudget {
  /** @param limit requests of this process in any 5 minutes */
  createGate(limit: number, now: () => number): RateGate
}

/** Milliseconds; also how long Cloudflare blocks a token that exceeded its limit. */
const WINDOW = 300_000

/** By API and token. Budgets hold numbers only, so requests of a Worker may share them. */
const budgets = new Map<string, RequestBudget>()
/** More tokens than any app has: keeps the map bounded. */
const MAX_BUDGETS = 100

/** The token's budget in this process. @param key identifies API and token */
export function getRequestBudget(key: string): RequestBudget {
  const existing = budgets.get(key)
  if (existing !== undefined) return existing
  if (budgets.size >= MAX_BUDGETS) for (const oldest of budgets.keys()) if (budgets.delete(oldest)) break
  const budget = createRequestBudget()
  budgets.set(key, budget)
  return budget
}

export function createRequestBudget(): RequestBudget {
  /** When each request of the last five minutes was sent, in order. */
  const sentAt: number[] = []
  let blockedUntil = 0
  /** Requests left according to Cloudflare, which counts other processes too. Valid until `resetAt`. */
  let remaining = Number.POSITIVE_INFINITY
  let resetAt = 0

  function reject(until: number, now: number): never {
    const retryAfter = (until - now) / 1_000
    const wait = Math.ceil(retryAfter)
    throw new TenancyError(
      'rate_limited',
      `The API token's requests for these 5 minutes are used up; none is sent for ${wait} s`,
      { retryAfter },
    )
  }

  function countRequest(limit: number, now: number): void {
    if (now < blockedUntil) reject(blockedUntil, now)
    if (now >= resetAt) remaining = Number.POSITIVE_INFINITY
    if (remaining <= 0) reject(resetAt, now)
    const firstRecent = sentAt.findIndex((at) => at > now - WINDOW)
    sentAt.splice(0, firstRecent < 0 ? sentAt.length : firstRecent)
    const oldestOfLimit = sentAt[sentAt.length - limit]
    if (oldestOfLimit !== undefined) reject(oldestOfLimit + WINDOW, now)
    sentAt.push(now)
    remaining--
  }

  function readResponse({ status, headers }: Pick<Response, 'status' | 'headers'>, now: number): void {
    if (status === 429) {
      const wait = parseRetryAfter(headers, now)
      blockedUntil = Math.max(blockedUntil, now + (wait === undefined ? WINDOW : wait * 1_000))
    }
    const limit = parseRateLimit(headers)
    if (limit === undefined) return
    // Responses overtake each other: within one window the smallest number is the newest.
    remaining = now < resetAt ? Math.min(remaining, limit.remaining) : limit.remaining
    resetAt = now + limit.reset * 1_000
  }

  return {
    createGate: (limit, now) => ({
      enter() {
        countRequest(limit, now())
        return (response) => readResponse(response, now())
      },
    }),
  }
}

/**
 * The `Ratelimit` header (`"default";r=50;t=30`): requests left, and seconds until the count starts again.
 *
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
 */
function parseRateLimit(headers: Headers): { remaining: number; reset: number } | undefined {
  const value = headers.get('ratelimit') ?? ''
  const remaining = /;\s*r=(\d+)/.exec(value)?.[1]
  const reset = /;\s*t=(\d+)/.exec(value)?.[1]
  if (remaining === undefined || reset === undefined) return undefined
  return { remaining: Number(remaining), reset: Number(reset) }
}

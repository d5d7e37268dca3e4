import { TenancyError } from '@tenantry/multi-tenancy'
import { retryAfterOf } from './retry-after.ts'

/**
 * What one API token may still send. Cloudflare counts 1,200 requests in 5 minutes for a token, whatever they are
 * for, and answers nothing for 5 minutes once they are used up: so every call of this process that has the token
 * counts here, and none is sent that would be refused.
 *
 * @see https://developers.cloudflare.com/fundamentals/api/reference/limits/
 */
export interface Budget {
  /**
   * Counts a request that is about to be sent.
   *
   * @param limit requests of this process in any 5 minutes
   * @throws `rate_limited`, with `retryAfter`: nothing may be sent before
   */
  take(limit: number, now: number): void
  /** Learns from an answer's status and headers. */
  learn(response: Pick<Response, 'status' | 'headers'>, now: number): void
}

/** Milliseconds; also how long Cloudflare blocks a token that sent too much. */
const WINDOW = 300_000

/** By API and token; numbers only, so that a Worker's requests may share them. */
const budgets = new Map<string, Budget>()
/** More tokens than any app has: a bound, not a policy. */
const MAX_BUDGETS = 100

/** The one budget of a token in this process. @param key what tells tokens apart; it is kept as it is */
export function budgetOf(key: string): Budget {
  const known = budgets.get(key)
  if (known !== undefined) return known
  if (budgets.size >= MAX_BUDGETS) for (const oldest of budgets.keys()) if (budgets.delete(oldest)) break
  const made = createBudget()
  budgets.set(key, made)
  return made
}

export function createBudget(): Budget {
  /** When each request of the last five minutes was sent, in order. */
  const sent: number[] = []
  let blockedUntil = 0
  /** What Cloudflare said is left, others' requests included; true until `resetAt`. */
  let left = Number.POSITIVE_INFINITY
  let resetAt = 0

  function refuse(until: number, now: number): never {
    throw new TenancyError('rate_limited', 'The Cloudflare API takes no more requests for now', {
      retryAfter: (until - now) / 1_000,
    })
  }

  return {
    take(limit, now) {
      if (now < blockedUntil) refuse(blockedUntil, now)
      if (now >= resetAt) left = Number.POSITIVE_INFINITY
      if (left <= 0) refuse(resetAt, now)
      const old = sent.findIndex((at) => at > now - WINDOW)
      sent.splice(0, old < 0 ? sent.length : old)
      const full = sent[sent.length - limit]
      if (full !== undefined) refuse(full + WINDOW, now)
      sent.push(now)
      left--
    },
    learn({ status, headers }, now) {
      if (status === 429) {
        const wait = retryAfterOf(headers, now)
        blockedUntil = Math.max(blockedUntil, now + (wait === undefined ? WINDOW : wait * 1_000))
      }
      const said = remainingOf(headers)
      if (said === undefined) return
      // Answers overtake each other: within one window the smallest is the newest.
      left = now < resetAt ? Math.min(left, said.left) : said.left
      resetAt = now + said.reset * 1_000
    },
  }
}

/**
 * The `Ratelimit` header (`"default";r=50;t=30`): requests left, and seconds until there are more.
 *
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
 */
function remainingOf(headers: Headers): { left: number; reset: number } | undefined {
  const value = headers.get('ratelimit') ?? ''
  const left = /;\s*r=(\d+)/.exec(value)?.[1]
  const reset = /;\s*t=(\d+)/.exec(value)?.[1]
  return left === undefined || reset === undefined ? undefined : { left: Number(left), reset: Number(reset) }
}

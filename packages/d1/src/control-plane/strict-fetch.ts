import { TenancyError } from '@tenantry/multi-tenancy'
import type { Budget } from './request-budget.ts'
import { retryAfterOf } from './retry-after.ts'

/** A `fetch` as every runtime has it. */
export type Fetch = (input: Request | URL | string, init?: RequestInit) => Promise<Response>

/** A refusal of Cloudflare's API, or no answer at all, before it gets one of our codes. Never shown to an app. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** HTTP; `0`: there was no answer, so nobody knows whether the request was carried out. */
  readonly status: number
  /** Cloudflare's own codes, such as 7404. */
  readonly codes: readonly number[]
  /** Seconds. */
  readonly retryAfter: number | undefined
  /** Cloudflare's own words. Not the message, which the SDK searches for "timeout" and then forgets the error. */
  readonly said: string

  constructor(
    status: number,
    message: string,
    about: {
      codes?: readonly number[]
      retryAfter?: number | undefined
      said?: string
      cause?: unknown
    } = {},
  ) {
    super(message, about.cause === undefined ? undefined : { cause: about.cause })
    this.status = status
    this.codes = about.codes ?? []
    this.retryAfter = about.retryAfter
    this.said = about.said ?? ''
  }
}

/** Whether nobody knows if the request was carried out. */
export function isAmbiguous(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false
  const { status, codes } = error
  return status === 0 || status === 408 || status >= 500 || (status === 200 && codes.length === 0)
}

/** Whether Cloudflare itself says that there is no such database: not another 404. */
export function isAbsent(error: unknown): boolean {
  return error instanceof ApiError && error.codes.includes(7404)
}

/** Cloudflare's code for a Worker that is not there. */
export const WORKER_NOT_FOUND = 10007

/** Whether a Worker was not there; nothing was carried out then. */
export function isMissingWorker(error: unknown): boolean {
  return error instanceof ApiError && error.codes.includes(WORKER_NOT_FOUND)
}

/** What every request goes through. */
export interface StrictFetchOptions {
  readonly fetch: Fetch
  readonly budget: Budget
  /** Requests of this process in 5 minutes. */
  readonly rateLimit: number
  readonly now: () => number
}

/**
 * A `fetch` for the SDK that counts, sends nothing while told to wait, follows no redirect (the token goes to the API
 * and no further) and lets only successes pass: the SDK takes `success: false` in a 200 for an answer, and then
 * returns null or an empty page.
 */
export function createStrictFetch({ fetch, budget, rateLimit, now }: StrictFetchOptions): Fetch {
  return async (input, init) => {
    budget.take(rateLimit, now())
    // `manual`, because workerd does not take `error`.
    const response = await fetch(input, { ...init, redirect: 'manual' })
    budget.learn(response, now())
    const { status, headers } = response
    if (response.type === 'opaqueredirect' || (status >= 300 && status < 400)) {
      await response.body?.cancel()
      throw new ApiError(status || 302, 'Cloudflare answered with a redirect, which is not followed')
    }
    const text = await response.text()
    const { success, errors } = parse(text)
    if (response.ok && success === true) {
      return new Response(text, { headers: { 'content-type': 'application/json' } })
    }
    const list = Array.isArray(errors) ? errors : []
    throw new ApiError(status, `Cloudflare refused with ${status}`, {
      retryAfter: retryAfterOf(headers, now()),
      codes: list.flatMap(({ code }) => (typeof code === 'number' ? [code] : [])),
      // Cut only once it is redacted: half a secret is none that anybody knows.
      said: list.map(({ message }) => message).join('; '),
    })
  }
}

/** The SDK's error as ours. What the caller gave up, or our own checks threw, stays as it is. */
export function toApiError(error: unknown, signal: AbortSignal): unknown {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof TenancyError || at instanceof ApiError) return at
  }
  // Its own clock, or the SDK's.
  const late = signal.reason?.name === 'TimeoutError' || /timed out/.test((error as Error)?.message)
  if (late) return new TenancyError('timeout', 'No answer from Cloudflare in time')
  if (signal.aborted) return signal.reason
  return new ApiError(0, 'No answer from Cloudflare', { cause: error })
}

function parse(text: string): { success?: unknown; errors?: unknown } {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

import { TenancyError } from '@tenantry/multi-tenancy'
import { LONGEST_WAIT } from './rate-gate.ts'

/** A `fetch` as every runtime has it. */
export type Fetch = (input: Request | URL | string, init?: RequestInit) => Promise<Response>

/** A service's refusal, or no answer at all, before it gets one of our codes. Never shown to an app. */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  /** `platform` administers databases, `data` is a database itself. */
  readonly plane: 'platform' | 'data'
  /** `0`: there was no answer, so nobody knows whether the request was carried out. */
  readonly status: number
  /** The service's own code, such as `feature_not_available_for_starter_plan`. */
  readonly serviceCode: string | undefined
  /** Its text without the names in it: a database called `age-group` says nothing of groups. */
  readonly words: string
  /** Seconds. */
  readonly retryAfter: number | undefined

  constructor(
    plane: HttpError['plane'],
    status: number,
    message: string,
    about: {
      serviceCode?: string | undefined
      words?: string
      retryAfter?: number | undefined
      cause?: unknown
    } = {},
  ) {
    super(message, about.cause === undefined ? undefined : { cause: about.cause })
    this.plane = plane
    this.status = status
    this.serviceCode = about.serviceCode
    this.words = about.words ?? message
    this.retryAfter = about.retryAfter
  }
}

/**
 * Sends a request and follows no redirect: credentials go to the host they are for and no further. (`manual`,
 * because workerd does not take `error`.)
 *
 * @throws HttpError for no answer and for a redirect; the signal's reason when it was aborted
 */
export async function send(
  fetch: Fetch,
  plane: HttpError['plane'],
  input: Request | URL,
  init: RequestInit & { signal: AbortSignal },
): Promise<Response> {
  let response: Response
  try {
    response = await fetch(input, { ...init, redirect: 'manual' })
  } catch (cause) {
    if (init.signal.aborted) throw aborted(init.signal)
    throw new HttpError(plane, 0, 'No answer from Turso', { cause })
  }
  const { status, type } = response
  if (type === 'opaqueredirect' || (status >= 300 && status < 400)) {
    await response.body?.cancel()
    throw new HttpError(plane, status || 302, 'Turso answered with a redirect, which is not followed')
  }
  return response
}

/** Why a request was given up; a clock that ran out is our `timeout`. */
function aborted({ reason }: AbortSignal): unknown {
  if ((reason as { name?: unknown } | undefined)?.name !== 'TimeoutError') return reason
  return new TenancyError('timeout', 'No answer from Turso in time')
}

/**
 * A `Retry-After` header as seconds from `now`, `LONGEST_WAIT` at most: it holds seconds or a date.
 *
 * @param now milliseconds since the epoch
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
export function retryAfterOf({ headers }: Response, now: number): number | undefined {
  const value = headers.get('retry-after')?.trim()
  if (value === undefined) return undefined
  // A date has no fractions, so the moment it means may be almost a second later.
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - now) / 1_000 + 1
  return Number.isFinite(seconds) ? Math.min(Math.max(0, seconds), LONGEST_WAIT) : undefined
}

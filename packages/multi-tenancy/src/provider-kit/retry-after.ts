/** Seconds. A longer `Retry-After` is not believed: one far date would stop an app for good. */
export const MAX_RETRY_AFTER = 300

/**
 * The seconds from `now` that a `Retry-After` header asks for, at most `MAX_RETRY_AFTER`. The header holds seconds or
 * a date; `undefined` where it is missing or neither.
 *
 * @param now milliseconds since the epoch
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
export function parseRetryAfter(headers: Headers, now: number): number | undefined {
  const value = headers.get('retry-after')?.trim()
  if (value === undefined) return undefined
  // A date has no fraction: the moment it stands for may be almost a second later.
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - now) / 1_000 + 1
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(0, seconds), MAX_RETRY_AFTER)
}

/**
 * A `Retry-After` header as seconds from `now`: it holds seconds or a date.
 *
 * @param now milliseconds since the epoch
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
export function retryAfterOf(headers: Headers, now: number): number | undefined {
  const value = headers.get('retry-after')?.trim()
  if (value === undefined) return undefined
  // A date has no fractions, so the moment it means may be almost a second later.
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - now) / 1_000 + 1
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined
}

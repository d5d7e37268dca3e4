import { TenancyError } from '../errors.ts'

/** Items of a page at most. */
export const MAX_PAGE = 100

/**
 * How many items a page has.
 *
 * @throws `invalid_request` unless it is a whole number of 1 to 100
 */
export function pageLimit(limit = 50): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_PAGE) return limit
  throw new TenancyError('invalid_request', `limit must be a whole number of 1 to ${MAX_PAGE}`)
}

/** Where a page ended, as text that is only to be handed back. */
export function encodeCursor(last: string): string {
  return btoa(last).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
}

const ENDS: Readonly<Record<'tenants' | 'operations', RegExp>> = {
  tenants: /^[a-z0-9-]{1,63}$/,
  operations: /^\d{1,15} [0-9a-f-]{36}$/,
}

/** @throws `invalid_request` for what `encodeCursor` did not make for a page of these */
export function decodeCursor(of: 'tenants' | 'operations', cursor: string): string {
  try {
    const last = atob(cursor.replace(/-/g, '+').replace(/_/g, '/'))
    if (ENDS[of].test(last) && encodeCursor(last) === cursor) return last
  } catch {
    // Not base64: the same answer.
  }
  throw new TenancyError('invalid_request', 'This cursor is not one of ours')
}

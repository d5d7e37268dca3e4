import { TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import { sha256 } from '../util/hash.ts'

/**
 * The key of a repeatable request, checked.
 *
 * @throws `invalid_request` unless it has 1 to 255 characters, which is the length of the column, and no blanks around
 * them, which MySQL ignores when it compares
 */
export function checkRequestKey(key: string): string {
  if (/^\S(.{0,253}\S)?$/s.test(key)) return key
  const message = 'A request key must have 1 to 255 characters and no blanks around them'
  throw new TenancyError('invalid_request', message)
}

/** The id of the operation that a request begins: always the same, so that repeated requests begin one operation. */
export async function toOperationId(tenantId: TenantId, key: string): Promise<string> {
  const hash = await sha256(`${tenantId} ${key}`)
  // A UUID of version 8 (RFC 9562): the application's own bits.
  const variant = '89ab'[Number.parseInt(hash.slice(16, 17), 16) % 4]
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `${variant}${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-')
}

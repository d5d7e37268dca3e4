import { TenancyError } from '../errors.ts'
import type { TenantMetadata } from '../types/record.ts'

/** Bytes of a tenant's metadata as JSON. */
export const MAX_METADATA = 4_096

/** @throws `invalid_request` unless it is a flat object of short names and plain values, of 4 KB at most */
export function checkMetadata(metadata: TenantMetadata): void {
  const problem = findProblem(metadata)
  if (problem !== undefined) throw new TenancyError('invalid_request', `metadata: ${problem}`)
}

function findProblem(metadata: unknown): string | undefined {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) return 'must be an object'
  for (const [name, value] of Object.entries(metadata)) {
    if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name) || name === '__proto__') {
      return 'names have 1 to 64 characters of A-Z, a-z, 0-9, _, . and -'
    }
    const plain = value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value)
    if (!plain) return `${name} must be a string, a number, a boolean or null`
  }
  if (new TextEncoder().encode(JSON.stringify(metadata)).length > MAX_METADATA) return 'is longer than 4 KB'
  return undefined
}

/**
 * Replaces members; `null` removes one.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7396
 * @throws `invalid_request` when the result is too long
 */
export function mergeMetadata(old: TenantMetadata, patch: TenantMetadata): TenantMetadata {
  const merged = new Map(Object.entries(old))
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name)
    else merged.set(name, value)
  }
  const metadata = Object.fromEntries(merged)
  checkMetadata(metadata)
  return metadata
}

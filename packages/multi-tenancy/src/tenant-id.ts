import { configError, TenancyError } from './errors.ts'

declare const brand: unique symbol

/** A checked tenant id: `[a-z0-9]` and single inner `-`, 1 to 63 characters, not reserved. */
export type TenantId = string & { readonly [brand]: 'TenantId' }

const GRAMMAR = /^[a-z0-9]+(?:-[a-z0-9]+)*$/
const MAX_LENGTH = 63

/** Ids and host labels that are never a tenant, unless an app names its own list. */
export const RESERVED_TENANT_IDS: readonly string[] = [
  'admin', 'api', 'app', 'assets', 'auth', 'cdn', 'dashboard', 'ftp', 'help', 'localhost', 'login',
  'mail', 'mysql', 'ns1', 'ns2', 'postgres', 'public', 'root', 'smtp', 'static', 'status', 'support', 'sys',
  'system', 'tenantry', 'undefined', 'null', 'www',
] // biome-ignore format: one list

/** Whether `value` is a string of the tenant-id grammar. Nothing is normalised into shape. */
export function isTenantId(value: unknown): value is TenantId {
  return typeof value === 'string' && value.length <= MAX_LENGTH && GRAMMAR.test(value)
}

/**
 * Checks a tenant id, once, at the edge.
 *
 * @throws `invalid_tenant_id`, also for anything but a string and for a reserved id
 */
export function parseTenantId(value: unknown, reserved: ReadonlySet<string> = DEFAULT_RESERVED): TenantId {
  if (!isTenantId(value)) throw new TenancyError('invalid_tenant_id', INVALID)
  if (reserved.has(value)) throw new TenancyError('invalid_tenant_id', 'This tenant id is reserved')
  return value
}

/** A list of reserved ids as a set; each entry must itself be a possible tenant id. A string is not accepted as a list of letters. */
export function reservedSet(ids: readonly string[] | undefined, option: string): ReadonlySet<string> {
  if (ids === undefined) return DEFAULT_RESERVED
  if (!Array.isArray(ids)) throw configError(option, 'must be a list')
  for (const id of ids) {
    if (!isTenantId(id)) throw configError(option, `${JSON.stringify(id)} is not a valid tenant id`)
  }
  return new Set(ids)
}

const INVALID = 'A tenant id is 1 to 63 characters of a-z, 0-9 and single inner dashes'
const DEFAULT_RESERVED: ReadonlySet<string> = new Set(RESERVED_TENANT_IDS)

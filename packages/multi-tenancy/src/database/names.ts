import { configError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Naming } from '../types/provider.ts'
import { sha256 } from '../util/hash.ts'

/** Derives the physical name of a tenant's database. */
export type NameTenant = (tenantId: TenantId, generation?: number) => Promise<string>

const HASH_LENGTH = 20

/**
 * Physical names: `prefix` + tenant id, and from the second generation on a mark (`tenant_acme_g2`).
 * Over the provider's limit: `prefix` + the id's first characters + separator + 100 bits of a hash of it all.
 * No tenant id holds the separator (`_`, or `--` where only dashes are allowed), so no two tenants share a name.
 *
 * @throws `config_invalid` when the prefix does not fit `naming`
 */
export function nameTenants(naming: Naming, prefix: string): NameTenant {
  const separator = naming.separator === '_' ? '_' : '--'
  const allowed = naming.separator === '_' ? /^[a-z][a-z0-9_-]*$/ : /^[a-z][a-z0-9-]*$/
  if (!allowed.test(prefix)) throw configError('databasePrefix', `must match ${allowed} here`)
  const room = naming.maxLength - prefix.length - separator.length - HASH_LENGTH
  if (room < 1)
    throw configError('databasePrefix', `too long: names here have ${naming.maxLength} characters`)

  return async (tenantId, generation = 1) => {
    const name = generation === 1 ? tenantId : `${tenantId}${separator}g${generation}`
    if (prefix.length + name.length <= naming.maxLength) return prefix + name
    return prefix + tenantId.slice(0, room) + separator + (await hash(name))
  }
}

/** The first 100 bits of the SHA-256, in base 32. */
async function hash(text: string): Promise<string> {
  return BigInt(`0x${(await sha256(text)).slice(0, 25)}`)
    .toString(32)
    .padStart(HASH_LENGTH, '0')
}

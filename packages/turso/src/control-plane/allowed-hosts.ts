import { configError, TenancyError } from '@tenantry/multi-tenancy/provider'
import type { HostCheck } from '../locator.ts'

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const HOSTNAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})+$`)

/**
 * Creates the check that every hostname passes before a token is sent there: a plain DNS name (no port, user, path or
 * address) that equals an allowed one or, for `*.turso.io`, ends in `.turso.io`.
 *
 * @throws `config_invalid` for an entry that is neither
 */
export function createHostCheck(allowed: readonly string[]): HostCheck {
  if (!Array.isArray(allowed) || allowed.length === 0) {
    throw configError('allowedHosts', 'must name at least one host')
  }
  for (const entry of allowed) {
    // A suffix of one label, such as `*.io`, would allow hosts of any owner.
    if (!HOSTNAME.test(entry.startsWith('*.') ? entry.slice(2) : entry)) {
      throw configError(
        'allowedHosts',
        `"${entry}" must be a lower-case host name, or "*." and at least two labels`,
      )
    }
  }
  return (hostname) => {
    const name = typeof hostname === 'string' ? hostname.toLowerCase() : ''
    const isAllowed = allowed.some((entry) =>
      entry.startsWith('*.') ? name.endsWith(entry.slice(1)) : name === entry,
    )
    if (isAllowed && HOSTNAME.test(name)) return name
    throw new TenancyError(
      'provider_rejected',
      'The database is on a host that the option allowedHosts does not contain',
    )
  }
}

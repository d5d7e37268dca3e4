import { configError, TenancyError } from '@tenantry/multi-tenancy'

/** Checks the host of a database, as the API named it. */
export type HostCheck = (hostname: unknown) => string

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const HOSTNAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})+$`)

/**
 * Makes the check every hostname passes before a token is sent there: a plain DNS name (no port, no user, no path, no
 * address) that is one of `allowed` or, for `*.turso.io`, ends in `.turso.io`.
 *
 * @throws `config_invalid` for an entry that is neither
 */
export function createHostCheck(allowed: readonly string[]): HostCheck {
  if (!Array.isArray(allowed) || allowed.length === 0) {
    throw configError('allowedHosts', 'must name at least one host')
  }
  for (const entry of allowed) {
    // A bare suffix such as `*.io` would let in hosts of anybody.
    if (!HOSTNAME.test(entry.startsWith('*.') ? entry.slice(2) : entry)) {
      throw configError('allowedHosts', 'each is a host name, or *. and at least two labels, in lower case')
    }
  }
  return (hostname) => {
    const name = typeof hostname === 'string' ? hostname.toLowerCase() : ''
    const known = allowed.some((entry) =>
      entry.startsWith('*.') ? name.endsWith(entry.slice(1)) : name === entry,
    )
    if (known && HOSTNAME.test(name)) return name
    throw new TenancyError('provider_rejected', 'The database is on a host that allowedHosts does not name')
  }
}

import { configError } from '../../errors.ts'
import { reservedSet } from '../../tenant-id.ts'
import { checkFunctions, checkOptions } from '../../util/options.ts'
import { type HostOptions, hostName, hostReader } from './host.ts'
import type { TenantResolver } from './resolver.ts'

export interface SubdomainOptions extends HostOptions {
  /** The domain tenants live under: `example.com` for `acme.example.com`. No port, no scheme. */
  readonly baseDomain: string
  /** Labels that never name a tenant. Replaces the default list. @default RESERVED_TENANT_IDS */
  readonly reservedSubdomains?: readonly string[]
  /** The tenant id of a label that is not itself one. Without a result the host names no tenant. */
  readonly resolveSubdomain?: (
    subdomain: string,
  ) => string | null | undefined | Promise<string | null | undefined>
}

/**
 * The label before `baseDomain`. The base domain itself, a host elsewhere, two labels and a reserved label
 * all name nothing.
 *
 * @throws `config_invalid` while constructing; per request what `effectiveHost` throws
 *
 * @example
 * ```ts
 * const resolver = fromSubdomain({ baseDomain: 'example.com', reservedSubdomains: ['www', 'status'] })
 * ```
 */
export function fromSubdomain(options: SubdomainOptions, at = 'fromSubdomain'): TenantResolver {
  checkOptions(options, at, [
    'baseDomain',
    'reservedSubdomains',
    'resolveSubdomain',
    'forwardedHost',
    'trustedProxy',
  ])
  checkFunctions(options, at, ['resolveSubdomain', 'trustedProxy'])
  const { baseDomain, resolveSubdomain } = options
  if (hostName(baseDomain) !== baseDomain || baseDomain[0] === '[') {
    throw configError(`${at}.baseDomain`, 'must be a domain in lower case, such as example.com')
  }
  const suffix = `.${baseDomain}`
  const reserved = reservedSet(options.reservedSubdomains, `${at}.reservedSubdomains`)
  const readHost = hostReader(options, at)

  const resolve = (host: string) => {
    if (!host.endsWith(suffix)) return undefined
    const label = host.slice(0, -suffix.length)
    if (label.includes('.') || reserved.has(label)) return undefined
    return resolveSubdomain === undefined ? label : resolveSubdomain(label)
  }
  // Without a promise where the host is known: see the loop of `findTenant`.
  return (c) => {
    const host = readHost(c)
    return typeof host === 'string' ? resolve(host) : host.then(resolve)
  }
}

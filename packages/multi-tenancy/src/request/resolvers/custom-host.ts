import { configError } from '../../errors.ts'
import { isTenantId } from '../../tenant-id.ts'
import { checkFunctions, checkOptions } from '../../util/options.ts'
import { type HostOptions, hostName, hostReader } from './host.ts'
import type { TenantResolver } from './resolver.ts'

export interface CustomHostOptions extends HostOptions {
  /** Tenant ids by host, or a look-up that is given the host in lower case, without port or trailing dot. */
  readonly domains:
    | Readonly<Record<string, string>>
    | ((host: string) => string | null | undefined | Promise<string | null | undefined>)
}

/**
 * The tenant of a custom domain. An unknown host names nothing.
 *
 * @throws `config_invalid` while constructing; per request what `effectiveHost` throws
 *
 * @example
 * ```ts
 * const resolver = fromHost({ domains: { 'login.acme.org': 'acme' } })
 * ```
 */
export function fromHost(options: CustomHostOptions): TenantResolver {
  const at = 'fromHost'
  checkOptions(options, at, ['domains', 'forwardedHost', 'trustedProxy'])
  checkFunctions(options, at, ['trustedProxy'])
  const lookUp = createLookUp(options.domains, `${at}.domains`)
  const readHost = hostReader(options, at)
  return async (c) => (await lookUp(await readHost(c))) ?? undefined
}

function createLookUp(
  domains: CustomHostOptions['domains'],
  at: string,
): Extract<CustomHostOptions['domains'], (host: string) => unknown> {
  if (typeof domains === 'function') return domains
  if (typeof domains !== 'object' || domains === null) throw configError(at, 'must be a record or a function')
  const known = new Map(Object.entries(domains))
  for (const [host, id] of known) {
    if (hostName(host) !== host) throw configError(at, `${JSON.stringify(host)} is not a host in lower case`)
    if (!isTenantId(id)) throw configError(at, `${JSON.stringify(id)} is not a tenant id`)
  }
  return (host) => known.get(host)
}

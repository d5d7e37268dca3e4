import { checkName, checkOptions } from '../../util/options.ts'
import { checkTrust, type TenantResolver, type TrustedProxy } from './resolver.ts'

export interface HeaderOptions {
  /** @default 'x-tenant-id' */
  readonly name?: string
  /** Which requests a proxy of yours sent, one that removes this header from what clients send. */
  readonly trustedProxy: TrustedProxy
}

/**
 * A header set by a trusted proxy. In any other request it is ignored.
 *
 * @throws `config_invalid` while constructing, also without `trustedProxy`
 *
 * @example
 * ```ts
 * const resolver = fromHeader({ trustedProxy: (c) => getConnInfo(c).remote.address === '10.0.0.2' })
 * ```
 */
export function fromHeader(options: HeaderOptions): TenantResolver {
  checkOptions(options, 'fromHeader', ['name', 'trustedProxy'])
  const { name = 'x-tenant-id', trustedProxy } = options
  checkName(name, 'fromHeader')
  checkTrust(trustedProxy, 'fromHeader')
  return async (c) =>
    (await trustedProxy(c)) === true ? (c.req.raw.headers.get(name) ?? undefined) : undefined
}

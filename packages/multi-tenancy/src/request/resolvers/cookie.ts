import { TenancyError } from '../../errors.ts'
import { checkName, checkOptions } from '../../util/options.ts'
import { checkTrust, type TenantResolver, type TrustedProxy } from './resolver.ts'

export interface CookieOptions {
  readonly name: string
  /** Which requests a proxy of yours sent, one that decides this cookie. */
  readonly trustedProxy: TrustedProxy
}

/**
 * A cookie decided by a trusted proxy. In any other request it is ignored. Its value is taken as sent,
 * neither unquoted nor percent-decoded; two cookies of the name with different values are refused, because
 * any sibling subdomain can add one.
 *
 * @throws `config_invalid` while constructing, also without `trustedProxy`; per request `tenant_ambiguous`
 *
 * @example
 * ```ts
 * const resolver = fromCookie({ name: 'tenant', trustedProxy: (c) => getConnInfo(c).remote.address === '10.0.0.2' })
 * ```
 */
export function fromCookie(options: CookieOptions): TenantResolver {
  checkOptions(options, 'fromCookie', ['name', 'trustedProxy'])
  const { name, trustedProxy } = options
  checkName(name, 'fromCookie')
  checkTrust(trustedProxy, 'fromCookie')
  return async (c) =>
    (await trustedProxy(c)) === true ? readCookie(c.req.raw.headers.get('cookie') ?? '', name) : undefined
}

function readCookie(header: string, name: string): string | undefined {
  let value: string | undefined
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=')
    if (equals === -1 || trim(pair.slice(0, equals)) !== name) continue
    const next = trim(pair.slice(equals + 1))
    if (value !== undefined && value !== next) {
      throw new TenancyError('tenant_ambiguous', 'This request names more than one tenant')
    }
    value = next
  }
  return value
}

// Spaces and tabs only: `String.prototype.trim` would also take characters that belong to the value.
function trim(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '')
}

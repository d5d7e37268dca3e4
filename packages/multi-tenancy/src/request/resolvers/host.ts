import type { Context } from 'hono'
import { configError, TenancyError } from '../../errors.ts'
import { checkTrust, type TrustedProxy } from './resolver.ts'

/** Which host the host resolvers believe. */
export interface HostOptions {
  /**
   * Read `X-Forwarded-Host` of the requests `trustedProxy` vouches for. It then replaces the request's own
   * host, from which it may differ; without the header the request's own host counts. The request's URL and
   * `Host` header must agree all the same. The `Forwarded` header of RFC 7239 is not read.
   * @default false
   */
  readonly forwardedHost?: boolean
  /** Required with `forwardedHost`. */
  readonly trustedProxy?: TrustedProxy
}

// A name or an IPv6 literal, then at most one dot, then at most one port. ASCII only: no `u` flag, so that
// `i` folds no other letter into it.
const HOST = /^([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])\.?(:\d{0,5})?$/i

/** `raw` in lower case without its port and one trailing dot, or `undefined` when it is not one plain host. */
export function hostName(raw: string): string | undefined {
  return HOST.exec(raw)?.[1]?.toLowerCase()
}

/**
 * The one host this request is for: lower case, no port, no trailing dot.
 *
 * A server may answer an absolute request line (`GET http://a/`) with another host in its URL than in its
 * `Host` header, and joins a doubled header with a comma; both are refused instead of believed.
 *
 * @param options `forwarded`: a trusted proxy sent this request, so read `X-Forwarded-Host`. @default false
 * @throws `tenant_ambiguous` when the request names two hosts, `invalid_request` when it names none readable
 */
export function effectiveHost(c: Context, { forwarded = false }: { forwarded?: boolean } = {}): string {
  const { url, headers } = c.req.raw
  const start = url.indexOf('://') + 3
  const end = url.indexOf('/', start)
  const raw = url.slice(start, end === -1 ? undefined : end)
  const host = readHost(raw)
  const header = headers.get('host')
  if (header !== null && header !== raw && readHost(header) !== host) {
    throw new TenancyError('tenant_ambiguous', 'The URL and the Host header name different hosts')
  }
  const original = forwarded ? headers.get('x-forwarded-host') : null
  return original === null ? host : readHost(original)
}

/** `effectiveHost` with the options of a host resolver, checked. */
export function hostReader(options: HostOptions, at: string): (c: Context) => string | Promise<string> {
  const { forwardedHost = false, trustedProxy } = options
  if (typeof forwardedHost !== 'boolean') throw configError(`${at}.forwardedHost`, 'must be true or false')
  if (!forwardedHost) return (c) => effectiveHost(c)
  checkTrust(trustedProxy, at)
  return async (c) => effectiveHost(c, { forwarded: (await trustedProxy?.(c)) === true })
}

function readHost(raw: string): string {
  const host = hostName(raw)
  if (host !== undefined) return host
  if (raw.includes(',')) throw new TenancyError('tenant_ambiguous', 'This request names more than one host')
  throw new TenancyError('invalid_request', 'The host of this request cannot be read')
}

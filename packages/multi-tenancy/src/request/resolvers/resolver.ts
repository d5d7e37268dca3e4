import type { Context } from 'hono'
import { configError } from '../../errors.ts'

/**
 * Reads a tenant id out of a request: a raw candidate, checked later against the one grammar, or `undefined` or
 * `null` for "nothing here". It may throw a `TenancyError`; any other error is answered as `internal`.
 */
export interface TenantResolver {
  (c: Context): string | null | undefined | Promise<string | null | undefined>
  /**
   * Set by a resolver that reads a verified token. The control-plane tenant's id in that token is authority
   * to reach across tenants, not an address: it neither names a tenant nor contradicts one.
   */
  readonly verified?: boolean
}

/** Whether this request came through a proxy that overwrites what a client may have forged. Only `true` counts. */
export type TrustedProxy = (c: Context) => boolean | Promise<boolean>

/** Refuses a resolver that reads values a client can forge, when it has no function that recognizes the proxy. */
export function checkTrust(trustedProxy: unknown, at: string): void {
  if (typeof trustedProxy !== 'function') {
    throw configError(
      `${at}.trustedProxy`,
      'is required: a function that returns true for requests from your proxy',
    )
  }
}

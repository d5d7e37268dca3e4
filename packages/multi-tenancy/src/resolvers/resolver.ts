import type { Context } from 'hono'
import { configError, TenancyError } from '../errors.ts'
import { parseTenantId, type TenantId } from '../tenant-id.ts'

/**
 * Reads a tenant id out of a request: a raw candidate, checked later against the one grammar, or `undefined`
 * for "nothing here". It may throw a `TenancyError`; anything else it throws is answered as `internal`.
 */
export interface TenantResolver {
  (c: Context): string | undefined | Promise<string | undefined>
  /**
   * Set by a resolver that reads a verified token. The control-plane tenant's id found there is authority
   * to reach across tenants, not an address: it neither names a tenant nor contradicts one.
   */
  readonly verified?: boolean
}

/** Whether this request came through a proxy that overwrites what a client may have forged. Only `true` counts. */
export type TrustedProxy = (c: Context) => boolean | Promise<boolean>

export interface ResolveOptions {
  /** Ids that are never a tenant. @default RESERVED_TENANT_IDS */
  readonly reserved?: ReadonlySet<string> | undefined
  /** Ignored where a verified token names it; see `TenantResolver.verified`. */
  readonly controlPlaneTenantId?: string | undefined
}

/**
 * As `resolveTenant`, with `undefined` where no resolver found anything.
 *
 * @throws `tenant_ambiguous`, `invalid_tenant_id`, and what a resolver throws
 */
export async function findTenant(
  c: Context,
  resolvers: readonly TenantResolver[],
  { reserved, controlPlaneTenantId }: ResolveOptions = {},
): Promise<TenantId | undefined> {
  let candidate: unknown
  for (const resolve of resolvers) {
    let found: unknown
    try {
      found = resolve(c)
      // Most resolvers answer at once, and a request passes here before anything else: no await for them.
      if (typeof found === 'object') found = await found
    } catch (cause) {
      throw TenancyError.from(cause)
    }
    if (found === undefined || found === null) continue
    if (resolve.verified === true && found === controlPlaneTenantId) continue
    if (candidate !== undefined && candidate !== found) {
      throw new TenancyError('tenant_ambiguous', 'This request names more than one tenant')
    }
    candidate = found
  }
  return candidate === undefined ? undefined : parseTenantId(candidate, reserved)
}

/**
 * The tenant this request is for. Every resolver runs, in order, and all that find something must agree.
 *
 * @throws `tenant_unresolved` when none finds anything, `tenant_ambiguous` when two disagree,
 * `invalid_tenant_id`, and what a resolver throws
 *
 * @example
 * ```ts
 * app.use(async (c, next) => {
 *   c.set('tenant_id', await resolveTenant(c, [fromSubdomain({ baseDomain: 'example.com' })]))
 *   await next()
 * })
 * ```
 */
export async function resolveTenant(
  c: Context,
  resolvers: readonly TenantResolver[],
  options?: ResolveOptions,
): Promise<TenantId> {
  const id = await findTenant(c, resolvers, options)
  if (id === undefined) throw unresolved()
  return id
}

/** `c.var.tenant_id` as an earlier middleware set it. */
export const fromContext: TenantResolver = (c: Context): string | undefined => c.get('tenant_id')

/** The error of a request that names no tenant. */
export function unresolved(): TenancyError {
  return new TenancyError('tenant_unresolved', 'This request names no tenant')
}

/** Refuses a resolver of forgeable values that was built without saying who may be believed. */
export function checkTrust(trustedProxy: unknown, at: string): void {
  if (typeof trustedProxy !== 'function') {
    throw configError(`${at}.trustedProxy`, 'say which requests a trusted proxy sent')
  }
}

import type { Context } from 'hono'
import { TenancyError } from '../errors.ts'
import { parseTenantId, type TenantId } from '../tenant-id.ts'
import type { TenantResolver } from './resolvers/resolver.ts'

export interface ResolveOptions {
  /** Ids that are never a tenant. @default RESERVED_TENANT_IDS */
  readonly reserved?: ReadonlySet<string> | undefined
  /** Ignored where a verified token names it; see `TenantResolver.verified`. */
  readonly controlPlaneTenantId?: string | undefined
}

/**
 * As `resolveTenant`, with `undefined` where no resolver names a tenant.
 *
 * @throws `tenant_ambiguous`, `invalid_tenant_id`, and the coded error of a resolver
 */
export async function findTenant(
  c: Context,
  resolvers: readonly TenantResolver[],
  { reserved, controlPlaneTenantId }: ResolveOptions,
): Promise<TenantId | undefined> {
  let candidate: string | undefined
  for (const resolve of resolvers) {
    let answer: string | null | undefined
    try {
      const result = resolve(c)
      // Most resolvers answer without a promise, and an await costs each request turns of the microtask queue: about 2 % of
      // the CPU time of a warm request.
      answer = typeof result === 'object' && result !== null ? await result : result
    } catch (cause) {
      throw TenancyError.from(cause)
    }
    if (answer === undefined || answer === null) continue
    if (resolve.verified && answer === controlPlaneTenantId) continue
    if (candidate !== undefined && candidate !== answer) {
      throw new TenancyError('tenant_ambiguous', 'This request names more than one tenant')
    }
    candidate = answer
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
  options: ResolveOptions = {},
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

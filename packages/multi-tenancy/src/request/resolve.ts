import type { Context } from 'hono'
import { configError, TenancyError } from '../errors.ts'
import { parseTenantId, type TenantId } from '../tenant-id.ts'

/**
 * Reads a tenant id out of a request: a raw candidate, checked later against the one grammar, or `undefined` or
 * `null` for "nothing here". It may throw a `TenancyError`; anything else it throws is answered as `internal`.
 */
export interface TenantResolver {
  (c: Context): Soon<string | null | undefined>
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

/** An answer, or a promise of one. */
export type Soon<Value> = Value | Promise<Value>

/** Whether there is something to wait for. */
export function isLater<Value>(answer: Soon<Value>): answer is Promise<Value> {
  return typeof (answer as Promise<Value> | undefined)?.then === 'function'
}

/**
 * Goes on with what the app's own code answers: at once where that does, since each request passes here. Whatever it
 * throws has a code.
 */
export function ask<Answer, Value>(
  question: (c: Context, id: TenantId) => Soon<Answer>,
  use: (answer: Answer) => Soon<Value>,
  c: Context,
  id?: TenantId,
): Soon<Value> {
  let answer: Soon<Answer>
  try {
    answer = question(c, id as TenantId)
  } catch (cause) {
    return coded(cause)
  }
  return isLater(answer) ? Promise.resolve(answer).then(use, coded) : use(answer)
}

function coded(cause: unknown): never {
  throw TenancyError.from(cause)
}

/**
 * As `resolveTenant`, with `undefined` where no resolver found anything.
 *
 * @throws `tenant_ambiguous`, `invalid_tenant_id`, and what a resolver throws
 */
export function findTenant(
  c: Context,
  resolvers: readonly TenantResolver[],
  options: ResolveOptions,
  at = 0,
  candidate?: string,
): Soon<TenantId | undefined> {
  const { reserved, controlPlaneTenantId } = options
  const resolve = resolvers[at]
  if (resolve === undefined) return candidate === undefined ? candidate : parseTenantId(candidate, reserved)
  return ask<string | null | undefined, TenantId | undefined>(
    resolve,
    (answer) => {
      const found = (resolve.verified && answer === controlPlaneTenantId ? null : answer) ?? candidate
      if (candidate !== undefined && candidate !== found) {
        throw new TenancyError('tenant_ambiguous', 'This request names more than one tenant')
      }
      return findTenant(c, resolvers, options, at + 1, found)
    },
    c,
  )
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

/** Refuses a resolver of forgeable values that was built without saying who may be believed. */
export function checkTrust(trustedProxy: unknown, at: string): void {
  if (typeof trustedProxy !== 'function') {
    throw configError(`${at}.trustedProxy`, 'say which requests a trusted proxy sent')
  }
}

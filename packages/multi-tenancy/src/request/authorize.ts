import type { Context, MiddlewareHandler } from 'hono'
import { configError, notFound, TenancyError } from '../errors.ts'
import { isTenantId, type TenantId } from '../tenant-id.ts'
import type { AccessControlOptions } from '../types/access-control.ts'
import { checkFunctions, checkOptions } from '../util/options.ts'
import { checkConfig, contextTenantId, requestErrorReporter } from './config.ts'
import type { TenancyOptions } from './options.ts'
import { reportFaults } from './report-faults.ts'
import { CLAIM_OPTIONS, tokenReader } from './resolvers/claim.ts'

/** Lets a request to a tenant pass, or throws. */
export type AccessRule = (c: Context, tenantId: TenantId) => Promise<void>

/**
 * Lets a request pass only to the tenant it may reach, taken from `c.var.tenant_id`. By default its verified
 * token must be of that tenant, or of the control-plane tenant. Nothing is looked up: tenants that exist, are
 * suspended or never were look alike to those who may not reach them.
 *
 * @throws `config_invalid` while constructing; per request `tenant_unresolved`, `unauthenticated` without a
 * token, `tenant_not_found` for a tenant out of reach, `tenant_ambiguous` and `invalid_tenant_id` for a token
 * that names two tenants or none legibly
 *
 * @example
 * ```ts
 * app.use(jwt({ secret, alg: 'HS256' }), createSubdomainMiddleware(config), createAccessControlMiddleware(config))
 * ```
 */
export function createAccessControlMiddleware(
  config: Pick<TenancyOptions, 'accessControl' | 'reservedTenantIds' | 'onError'> = {},
): MiddlewareHandler<{ Variables: { tenant_id: TenantId } }> {
  const reserved = checkConfig(config)
  const authorize = accessRule(config.accessControl)
  return reportFaults(requestErrorReporter(config), async (c, begin) => {
    const id = contextTenantId(c, reserved)
    begin('authorize')
    await authorize(c, id)
    c.set('tenant_id', id)
  })
}

/** The rule of checked options. */
export function accessRule(options: AccessControlOptions = {}): AccessRule {
  const controlPlane = controlPlaneTenantId(options)
  const readToken = tokenReader(options, 'accessControl')
  const { authorize } = options
  if (authorize !== undefined) {
    return async (c, id) => {
      if ((await authorize(c, id)) !== true) throw notFound(id)
    }
  }
  return async (c, id) => {
    const token = await readToken(c)
    if (token === undefined) throw unauthenticated()
    if (token.tenant !== id && token.tenant !== (controlPlane ?? id)) throw notFound(id)
  }
}

/** Lets only the control plane pass, by the rule that lets its tokens reach every tenant. */
export function controlPlaneRule(options: AccessControlOptions): (c: Context) => Promise<void> {
  const controlPlane = controlPlaneTenantId(options)
  const readToken = tokenReader(options, 'accessControl')
  const { authorizeControlPlane } = options
  if (authorizeControlPlane !== undefined) {
    return async (c) => {
      if ((await authorizeControlPlane(c)) !== true) throw forbidden()
    }
  }
  return async (c) => {
    const token = await readToken(c)
    if (token === undefined) throw unauthenticated()
    if (controlPlane === undefined || token.tenant !== controlPlane) throw forbidden()
  }
}

/** The control-plane tenant's id from its two options, after checking all of `accessControl`. */
export function controlPlaneTenantId(options: AccessControlOptions): string | undefined {
  const at = 'accessControl'
  checkOptions(options, at, [
    ...CLAIM_OPTIONS,
    'authorize',
    'authorizeControlPlane',
    'controlPlaneTenantId',
    'mainTenantId',
  ])
  checkFunctions(options, at, ['authorize', 'authorizeControlPlane'])
  for (const name of ['controlPlaneTenantId', 'mainTenantId'] as const) {
    if (name in options && !isTenantId(options[name]))
      throw configError(`${at}.${name}`, 'must be a tenant id')
  }
  const { controlPlaneTenantId = options.mainTenantId, mainTenantId = controlPlaneTenantId } = options
  if (controlPlaneTenantId !== mainTenantId) {
    throw configError(`${at}.mainTenantId`, 'differs from controlPlaneTenantId')
  }
  return controlPlaneTenantId
}

/** The answer to a request without a token. */
function unauthenticated(): TenancyError {
  return new TenancyError('unauthenticated', 'This request carries no accepted token')
}

/** The answer to a request that may not manage tenants. */
function forbidden(): TenancyError {
  return new TenancyError('forbidden', 'Only the control plane manages tenants')
}

import type { Context, MiddlewareHandler } from 'hono'
import { configError } from '../errors.ts'
import { accessRule, controlPlaneTenantId } from './authorize.ts'
import { keepPrivate } from './cache-headers.ts'
import { checkConfig, requestErrorReporter } from './config.ts'
import { forwardUpgradeMark } from './copy-env.ts'
import { injectTenant, tenantOpener } from './database.ts'
import type { TenancyEnv } from './env.ts'
import type { TenancyOptions } from './options.ts'
import { reportFaults } from './report-faults.ts'
import { findTenant, fromContext, unresolved } from './resolve.ts'
import { tokenReader } from './resolvers/claim.ts'
import type { TenantResolver } from './resolvers/resolver.ts'
import { fromSubdomain } from './resolvers/subdomain.ts'

/**
 * The whole way of a request: resolve the tenant id, authorize, open its database, inject. Authorization comes
 * before anything is looked up, so a refused caller does not learn which tenants exist.
 *
 * @throws `config_invalid` while constructing; per request what `resolveTenant`,
 * `createAccessControlMiddleware` and `createDatabaseMiddleware` throw
 *
 * @example
 * ```ts
 * const app = new Hono()
 *   .use(jwt({ secret, alg: 'HS256' }))
 *   .use(createMultiTenancyMiddleware({ databaseIsolation: factory, subdomainRouting: { baseDomain: 'example.com' } }))
 *   .get('/notes', async (c) => c.json(await c.env.data.notes.list()))
 * ```
 */
export function createMultiTenancyMiddleware<Adapters>(
  config: TenancyOptions<Adapters>,
): MiddlewareHandler<TenancyEnv<Adapters>> {
  const reserved = checkConfig(config)
  const { accessControl = {}, cacheHeaders = true } = config
  const options = { reserved, controlPlaneTenantId: controlPlaneTenantId(accessControl) }
  const resolvers = listResolvers(config)
  const authorize = accessRule(accessControl)
  const open = tenantOpener(config.databaseIsolation)
  return reportFaults(
    requestErrorReporter(config),
    async (c, begin) => {
      const id = await findTenant(c, resolvers, options)
      if (id === undefined) throw unresolved()
      begin('authorize')
      await authorize(c, id)
      begin('open')
      injectTenant(c, await open(id))
    },
    (c) => {
      forwardUpgradeMark(c)
      if (cacheHeaders) keepPrivate(c)
    },
  )
}

function listResolvers(config: TenancyOptions<any>): readonly TenantResolver[] {
  const { resolvers, subdomainRouting, accessControl = {} } = config
  const list = resolvers ?? []
  // A string is iterable but not a list of resolvers.
  if (!Array.isArray(list) || list.some((resolve) => typeof resolve !== 'function')) {
    throw configError('resolvers', 'must be a list of functions')
  }
  if (subdomainRouting !== undefined)
    return [fromContext, ...list, fromSubdomain(subdomainRouting, 'subdomainRouting')]
  if (resolvers !== undefined) return [fromContext, ...list]

  // Where an earlier middleware set the tenant, only authorization reads the token: it does not name a tenant too.
  const readToken = tokenReader(accessControl, 'accessControl')
  const fromToken = async (c: Context) =>
    fromContext(c) === undefined ? (await readToken(c))?.tenant : undefined
  return [fromContext, Object.assign(fromToken, { verified: true })]
}

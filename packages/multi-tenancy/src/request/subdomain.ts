import type { MiddlewareHandler } from 'hono'
import { configError } from '../errors.ts'
import { checkConfig, requestErrorReporter } from './config.ts'
import type { TenantIdEnv } from './env.ts'
import type { TenancyOptions } from './options.ts'
import { reportFaults } from './report-faults.ts'
import { findTenant, fromContext } from './resolve.ts'
import { fromSubdomain } from './resolvers/subdomain.ts'

/**
 * Sets `c.var.tenant_id` to the tenant of the request's subdomain. A host that names no tenant leaves it
 * unset and goes on, so the base domain can have pages of its own; the database middleware refuses it.
 *
 * @throws `config_invalid` while constructing; per request `invalid_tenant_id`, `invalid_request`,
 * `tenant_ambiguous`, also when an earlier middleware set another tenant
 *
 * @example
 * ```ts
 * app.use(createSubdomainMiddleware({ subdomainRouting: { baseDomain: 'example.com' } }))
 * ```
 */
export function createSubdomainMiddleware(
  config: Pick<TenancyOptions, 'subdomainRouting' | 'reservedTenantIds' | 'onError'>,
): MiddlewareHandler<TenantIdEnv> {
  const reserved = checkConfig(config)
  if (config.subdomainRouting === undefined) throw configError('subdomainRouting', 'is missing')
  const resolvers = [fromContext, fromSubdomain(config.subdomainRouting, 'subdomainRouting')]
  return reportFaults(requestErrorReporter(config), async (c) => {
    const id = await findTenant(c, resolvers, { reserved })
    if (id !== undefined) c.set('tenant_id', id)
  })
}

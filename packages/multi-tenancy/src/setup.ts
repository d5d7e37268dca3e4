import type { Hono, MiddlewareHandler } from 'hono'
import { createTenantRoutes } from './api/minimal-app.ts'
import type { TenancyError } from './errors.ts'
import { checkConfig, requestErrorReporter } from './request/config.ts'
import type { TenancyEnv } from './request/env.ts'
import { createMultiTenancyMiddleware } from './request/multi-tenancy.ts'
import type { TenancyOptions } from './request/options.ts'
import { checkedHooks, type TenantHooks } from './tenants/hooks.ts'
import { createRecordedTenants } from './tenants/with-catalog.ts'
import { createTenants, type DatabaseHooks, databaseHooks } from './tenants/without-catalog.ts'
import type { Tenants } from './types/lifecycle.ts'
import type { TenantFactory } from './types/tenant-factory.ts'
import { checkFunctions } from './util/options.ts'

/** Everything `setupMultiTenancy` takes. */
export interface MultiTenancyConfig<Adapters = unknown> extends TenancyOptions<Adapters> {
  /** Called around a tenant's creation, update and deletion. */
  readonly hooks?: TenantHooks
  /** Receives the error of an `after…` hook: what the hook follows is done all the same. @default as `onError` */
  readonly onHookError?: (error: TenancyError) => void
}

/** What `setupMultiTenancy` returns. */
export interface MultiTenancy<Adapters = unknown> {
  /** For the app's tenant routes: resolves, authorizes, injects. */
  readonly middleware: MiddlewareHandler<TenancyEnv<Adapters>>
  /** The configuration's own provisioning, callable. */
  readonly hooks: DatabaseHooks
  /** Tenant management in process, hooks included. */
  readonly tenants: Tenants
  /**
   * Tenant management over HTTP, for the control plane alone: `app.route('/tenants', multiTenancy.app)`. With a
   * catalog the whole tenants API, else its smallest part.
   */
  readonly app: Hono
  /** The configuration as given. */
  readonly config: MultiTenancyConfig<Adapters>
}

/**
 * A database for every tenant of a Hono app, from one configuration.
 *
 * @throws `config_invalid`, naming the option, also for an option that does not exist
 *
 * @example
 * ```ts
 * const multiTenancy = setupMultiTenancy({
 *   databaseIsolation: createTursoFactory({ organizationName, apiToken }),
 *   subdomainRouting: { baseDomain: 'example.com' },
 *   accessControl: { controlPlaneTenantId: 'main', issuer: 'https://id.example.com/' },
 * })
 * const app = new Hono()
 *   .use(jwt({ secret, alg: 'HS256' }))
 *   .route('/tenants', multiTenancy.app)
 *   .use(multiTenancy.middleware)
 *   .get('/notes', async (c) => c.json(await c.env.data.db.selectFrom('notes').selectAll().execute()))
 * ```
 */
export function setupMultiTenancy<Adapters>(config: MultiTenancyConfig<Adapters>): MultiTenancy<Adapters> {
  const reserved = checkConfig(config)
  checkFunctions(config, '', ['onHookError'])
  const { databaseIsolation: source, accessControl } = config
  const middleware = createMultiTenancyMiddleware(config)
  const hooks = databaseHooks(source, reserved)
  const { lifecycle, createTenantsApi } = source as Partial<TenantFactory>
  const reportError = requestErrorReporter(config)
  const onHookError = config.onHookError ?? ((error) => reportError(error, { operation: 'hook' }))
  const caller = checkedHooks(config.hooks, { onHookError, hasCatalog: lifecycle !== undefined })
  if (lifecycle !== undefined && createTenantsApi !== undefined) {
    const tenants = createRecordedTenants(lifecycle, source, caller)
    return {
      middleware,
      hooks,
      tenants,
      app: createTenantsApi({ tenants, accessControl, reportError }),
      config,
    }
  }
  const tenants = createTenants({ source, database: hooks, reserved, hooks: caller })
  return {
    middleware,
    hooks,
    tenants,
    app: createTenantRoutes({ tenants, accessControl, reportError }),
    config,
  }
}

import { OpenAPIHono } from '@hono/zod-openapi'
import type { Hono } from 'hono'
import { TenancyError } from '../errors.ts'
import { controlPlaneRule, controlPlaneTenantId } from '../request/authorize.ts'
import { reportFaults } from '../request/report-faults.ts'
import type { Tenants } from '../types/lifecycle.ts'
import type { TenantRecord } from '../types/record.ts'
import type { TenantsApiOptions } from '../types/tenant-factory.ts'
import { describe } from './openapi.ts'
import { addReading } from './read-routes.ts'
import { boundedBody, refuseInvalid } from './request.ts'
import { addChanging } from './write-routes.ts'

/**
 * The tenants API over a catalog, for the control plane alone; what it answers is described at its `/openapi.json`.
 * Who may not call it learns nothing: not of tenants, nor of routes. Errors are problem+json.
 *
 * @throws `config_invalid` while constructing; per request `unauthenticated`, `forbidden`, `invalid_request`,
 * `invalid_tenant_id`, and what `Tenants` throws
 */
export function createTenantsApi({ tenants, accessControl = {}, reportError }: TenantsApiOptions): Hono {
  const controlPlane = controlPlaneTenantId(accessControl)
  const authorize = controlPlaneRule(accessControl)
  const app = new OpenAPIHono({ defaultHook: refuseInvalid })
  app.use(
    reportFaults(reportError, async (c, begin) => {
      begin('authorize')
      await authorize(c)
      c.header('cache-control', 'no-store')
    }),
  )
  app.use(boundedBody)
  const coded = codeErrors(tenants)
  // First: its path is not a tenant id, and all routes exist when a request arrives.
  describe(app)
  addReading(app, coded)
  addChanging(app, coded, controlPlane)
  refuseOtherMethods(app)
  app.all('*', () => {
    throw new TenancyError('tenant_not_found', 'There is no such route')
  })
  // Their environments differ in name only.
  return app as unknown as Hono
}

/** The same calls; every error they throw has a code. */
function codeErrors(tenants: Tenants<TenantRecord>): Tenants<TenantRecord> {
  const calls = Object.entries(tenants).map(([name, call]) => [
    name,
    async (...args: unknown[]) => {
      try {
        return await (call as (...args: unknown[]) => unknown)(...args)
      } catch (cause) {
        throw TenancyError.from(cause)
      }
    },
  ])
  return Object.fromEntries(calls) as Tenants<TenantRecord>
}

/** The answer to a method that a path does not have. */
function refuseOtherMethods(app: OpenAPIHono): void {
  const methods = new Map<string, string[]>()
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== 'route') continue
    const { path, method } = definition.route
    methods.set(path, [
      ...(methods.get(path) ?? []),
      ...(method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]),
    ])
  }
  for (const [path, allowed] of methods) {
    app.all(path.replace(/\{(\w+)\}/g, ':$1'), (c) => {
      c.header('allow', allowed.join(', '))
      throw new TenancyError(
        'invalid_request',
        `The method ${c.req.method} is not allowed here; see the Allow header`,
      )
    })
  }
}

import { type Context, Hono } from 'hono'
import { TenancyError } from '../errors.ts'
import { controlPlaneRule, controlPlaneTenantId } from '../request/authorize.ts'
import { reportFaults } from '../request/report-faults.ts'
import { rawPath } from '../request/resolvers/path.ts'
import { needsCatalog } from '../tenants/without-catalog.ts'
import type { AccessControlOptions } from '../types/access-control.ts'
import type { ReportError } from '../types/error-report.ts'
import type { Tenants } from '../types/lifecycle.ts'
import { onlyMember, readJson } from './body.ts'

export interface TenantRoutesOptions {
  readonly tenants: Tenants
  /** Which callers may use the API: see `authorizeControlPlane` and `controlPlaneTenantId`. @default none */
  readonly accessControl?: AccessControlOptions | undefined
  /** Receives the server faults of the API's requests. */
  readonly reportError: ReportError
}

/**
 * Tenant management over HTTP without a catalog, for the control plane alone. Errors are problem+json.
 *
 * - `POST /` with `{ "id": "acme" }`: creates the tenant, or confirms it; 201
 * - `GET /:id`: 200 when the tenant can be served, 404 when it is not there
 * - `DELETE /:id`: deletes the tenant, also when it is not there; 204. Never the control-plane tenant
 *
 * @throws `config_invalid` while constructing; per request `unauthenticated`, `forbidden`, `invalid_request`,
 * `not_supported` for everything that needs a catalog, and what `Tenants` throws
 *
 * @example
 * ```ts
 * app.use('/management/*', jwt({ secret, alg: 'HS256' }))
 * app.route('/management/tenants', multiTenancy.app)
 * ```
 */
export function createTenantRoutes({ tenants, accessControl = {}, reportError }: TenantRoutesOptions): Hono {
  const controlPlane = controlPlaneTenantId(accessControl)
  const authorize = controlPlaneRule(accessControl)
  const app = new Hono()
  app.use(
    reportFaults(reportError, async (c, begin) => {
      begin('authorize')
      await authorize(c)
      c.header('cache-control', 'no-store')
    }),
  )
  app.post('/', async (c) => {
    const { id, state } = await tenants.create(onlyMember(await readJson(c), 'id') as string)
    return c.json({ id, state }, 201, { location: `${rawPath(c).replace(/\/$/, '')}/${id}` })
  })
  app.get('/openapi.json', refuse)
  app.get('/:id', async (c) => c.json(await tenants.get(pathId(c))))
  app.delete('/:id', async (c) => {
    const id = pathId(c)
    if (id === controlPlane)
      throw new TenancyError('forbidden', 'The control-plane tenant is not deleted here')
    await tenants.delete(id)
    return c.body(null, 204)
  })
  app.all('*', refuse)
  return app
}

/** Names the missing part in the response, which the response of a thrown error does not. */
async function refuse(): Promise<Response> {
  const error = needsCatalog('This part of the tenants API')
  const answer = error.getResponse()
  const problem = { ...((await answer.json()) as object), detail: error.detail }
  return new Response(JSON.stringify(problem), answer)
}

/** The path's last segment as it was sent; Hono's parameter has its percent-encoding decoded. */
function pathId(c: Context): string {
  return rawPath(c).split('/').at(-1) ?? ''
}

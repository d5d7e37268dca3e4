import { type Context, Hono } from 'hono'
import { TenancyError } from '../errors.ts'
import {
  type AccessControlOptions,
  controlPlaneTenantId,
  decide,
  unauthenticated,
} from '../middleware/access-control.ts'
import { tokenReader } from '../resolvers/claim.ts'
import { rawPath } from '../resolvers/path.ts'
import { onlyMember, readJson } from './body.ts'
import type { Tenants } from './tenants.ts'

export interface TenantRoutesOptions {
  readonly tenants: Tenants
  /** Whose callers are let in: see `authorizeControlPlane` and `controlPlaneTenantId`. @default nobody's */
  readonly accessControl?: AccessControlOptions | undefined
}

/**
 * Tenant management over HTTP, for the control plane alone. Errors are problem+json.
 *
 * - `POST /` with `{ "id": "acme" }`: makes the tenant, or confirms it; 201
 * - `GET /:id`: 200 when the tenant can be served, 404 when it is not there
 * - `DELETE /:id`: deletes the tenant, also when it is not there; 204. Never the control-plane tenant
 *
 * @throws `config_invalid` while constructing; per request `unauthenticated`, `forbidden`, `invalid_request`,
 * and what `Tenants` throws
 *
 * @example
 * ```ts
 * app.use('/management/*', jwt({ secret, alg: 'HS256' }))
 * app.route('/management/tenants', multiTenancy.app)
 * ```
 */
export function createTenantRoutes({ tenants, accessControl = {} }: TenantRoutesOptions): Hono {
  const controlPlane = controlPlaneTenantId(accessControl)
  const authorize = controlPlaneRule(accessControl)
  const app = new Hono()
  app.use(async (c, next) => {
    await authorize(c)
    c.header('cache-control', 'no-store')
    await next()
  })
  app.post('/', async (c) => {
    const id = onlyMember(await readJson(c), 'id') as string
    await tenants.create(id)
    return c.json({ id, state: 'active' }, 201, { location: `${rawPath(c).replace(/\/$/, '')}/${id}` })
  })
  app.get('/', () => {
    throw new TenancyError('not_supported', 'Listing tenants needs a catalog')
  })
  app.get('/:id', async (c) => c.json(await tenants.get(pathId(c))))
  app.delete('/:id', async (c) => {
    const id = pathId(c)
    if (id === controlPlane)
      throw new TenancyError('forbidden', 'The control-plane tenant is not deleted here')
    await tenants.delete(id)
    return c.body(null, 204)
  })
  return app
}

/** Lets only the control plane pass. */
function controlPlaneRule(options: AccessControlOptions): (c: Context) => Promise<void> {
  const controlPlane = controlPlaneTenantId(options)
  const readToken = tokenReader(options, 'accessControl')
  const { authorizeControlPlane } = options
  return async (c) => {
    if (authorizeControlPlane !== undefined) {
      if ((await decide(() => authorizeControlPlane(c))) === true) return
    } else {
      const token = await decide(() => readToken(c))
      if (token === undefined) throw unauthenticated()
      if (token.tenant !== undefined && token.tenant === controlPlane) return
    }
    throw new TenancyError('forbidden', 'Only the control plane manages tenants')
  }
}

/** The path's last segment as it was sent; Hono's parameter has its percent-encoding decoded. */
function pathId(c: Context): string {
  return rawPath(c).split('/').at(-1) ?? ''
}

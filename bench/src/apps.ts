import { createMultiTenancyMiddleware, type DatabaseFactory, type TenancyEnv } from '@tenantry/multi-tenancy'
import { createMemoryFactory } from '@tenantry/multi-tenancy/memory'
import { Hono } from 'hono'

export const TENANTS: readonly string[] = Array.from({ length: 50 }, (_, index) => `tenant-${index}`)

/** What a handler does with its tenant's adapters, costing next to nothing, so that only the middleware shows. */
interface Adapters {
  readonly name: string
}

function routes(app: Hono<TenancyEnv<Adapters>>): Hono<TenancyEnv<Adapters>> {
  return app.get('/api/users', (c) => c.json({ tenant: c.env.data.name, users: ['ann', 'bob'] }))
}

/**
 * The specification's own advice, written by hand: a Map of adapters, and the tenant from the subdomain.
 *
 * @param cacheHeaders also the two headers that ours sets by default
 */
export async function handWritten(cacheHeaders: boolean): Promise<Hono<TenancyEnv<Adapters>>> {
  const connectionPool = new Map<string, Adapters>()
  const factory: Pick<DatabaseFactory<Adapters>, 'getAdapters'> = {
    async getAdapters(tenantId) {
      const known = connectionPool.get(tenantId)
      if (known !== undefined) return known
      const adapters = { name: tenantId }
      connectionPool.set(tenantId, adapters)
      return adapters
    },
  }
  const app = new Hono<TenancyEnv<Adapters>>()
  app.use('*', async (c, next) => {
    const host = c.req.header('host') ?? new URL(c.req.url).host
    const tenantId = host.split('.')[0] ?? ''
    c.set('tenant_id', tenantId as never)
    c.env = { ...c.env, data: await factory.getAdapters(tenantId) }
    await next()
    if (!cacheHeaders) return
    c.res.headers.set('cache-control', 'private, no-store')
    c.res.headers.append('vary', 'Host')
  })
  return routes(app)
}

/** Ours with the same duties: subdomain, an authorization that allows, the cached tenant, the injection. */
export async function tenantry(cacheHeaders: boolean): Promise<Hono<TenancyEnv<Adapters>>> {
  const factory = createMemoryFactory<Adapters>({ createAdapters: (_, { id }) => ({ name: id }) })
  for (const id of TENANTS) await factory.provision(id)
  const app = new Hono<TenancyEnv<Adapters>>()
  app.use(
    '*',
    createMultiTenancyMiddleware<Adapters>({
      databaseIsolation: factory,
      subdomainRouting: { baseDomain: 'example.com' },
      accessControl: { authorize: () => true },
      cacheHeaders,
    }),
  )
  return routes(app)
}

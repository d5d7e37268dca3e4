// The Worker of d1.ts: the same query by the binding itself, and by Tenantry over the binding.

import { createD1Factory, createD1Provider, type D1Database } from '@tenantry/d1'
import { createMultiTenancyMiddleware, type TenancyEnv } from '@tenantry/multi-tenancy'
import { Hono, type MiddlewareHandler } from 'hono'

interface Bindings {
  readonly ACCOUNT_ID: string
  readonly API_TOKEN: string
  readonly BASE_URL: string
  readonly [binding: `DB_${string}`]: D1Database
}
type Adapters = { client: D1Database }
type Env = TenancyEnv<Adapters> & { Bindings: Bindings }

const QUERY = 'SELECT id, title FROM notes WHERE id > ? LIMIT 10'
const read = async (db: D1Database) => (await db.prepare(QUERY).bind(0).all()).results

let apps: ReturnType<typeof createApps> | undefined

function createApps(env: Bindings) {
  const { ACCOUNT_ID: accountId, API_TOKEN: apiToken, BASE_URL: baseUrl } = env
  const options = { accountId, apiToken, baseUrl, access: [{ kind: 'binding', env }] as const }
  const factory = createD1Factory<Adapters>({
    ...options,
    migrations: {
      '001': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL)',
      '002': `INSERT INTO notes (title) VALUES ${Array.from({ length: 10 }, (_, index) => `('note ${index}')`).join()}`,
    },
    createAdapters: (client) => ({ client }),
  })
  const middleware = (cacheHeaders: boolean) =>
    createMultiTenancyMiddleware<Adapters>({
      databaseIsolation: factory,
      subdomainRouting: { baseDomain: 'example.com' },
      accessControl: { authorize: () => true },
      cacheHeaders,
    }) as unknown as MiddlewareHandler<Env>
  return { factory, provider: createD1Provider(options), bare: middleware(false), whole: middleware(true) }
}

const app = new Hono<Env>()
app.post('/provision', async (c) => {
  apps ??= createApps(c.env)
  await apps.factory.provision(c.req.header('host')?.split('.')[0] ?? '')
  return c.body(null, 204)
})
/** The code without Tenantry: the tenant from the host, its binding, the query. */
app.get('/direct', async (c) => {
  const tenant = c.req.header('host')?.split('.')[0]?.toUpperCase()
  return c.json(await read(c.env[`DB_TENANT_${tenant}`] as D1Database))
})
/** The same with the two headers that the middleware sets by default. */
app.get('/direct-private', async (c) => {
  const tenant = c.req.header('host')?.split('.')[0]?.toUpperCase()
  const response = c.json(await read(c.env[`DB_TENANT_${tenant}`] as D1Database))
  response.headers.set('cache-control', 'private, no-store')
  response.headers.append('vary', 'Host')
  return response
})
/** The client that a handler receives, without the middleware. */
app.get('/client', async (c) => {
  apps ??= createApps(c.env)
  const tenant = c.req.header('host')?.split('.')[0] ?? ''
  const locator = { name: `tenant_${tenant}`, uuid: '00000000-0000-0000-0000-000000000000' }
  const target = { locator, purpose: 'serve' as const, verify: async () => {}, beforeUse: () => {} }
  const client = await apps.provider.connect(target, { signal: c.req.raw.signal })
  return c.json(await read(client))
})
/** The whole middleware: resolves, authorizes and serves each request with its tenant's adapters. */
for (const variant of ['bare', 'whole'] as const) {
  app.get(
    `/${variant}`,
    (c, next) => {
      apps ??= createApps(c.env)
      return apps[variant](c, next)
    },
    async (c) => c.json(await read(c.env.data.client)),
  )
}

export default app

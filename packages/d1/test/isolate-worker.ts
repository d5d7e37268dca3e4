// The Worker of isolate.test.ts: every access method, in one workerd isolate.

import { cloudflareEmulatorDispatcher } from '@tenantry/emulators/client'
import { createMultiTenancyMiddleware, fromSubdomain, type TenancyEnv } from '@tenantry/multi-tenancy'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import type { Kysely } from 'kysely'
import { createD1Factory, type D1Access } from '../src/index.ts'

type Adapters = { db: Kysely<{ marker: { tenant: string } }> }
interface Bindings {
  ACCOUNT_ID: string
  API_TOKEN: string
  EMULATOR: string
  GATES: string
  NAMESPACE: string
  SECRET: string
}
type Env = TenancyEnv<Adapters> & { Bindings: Bindings }
type Factory = ReturnType<typeof createD1Factory<Adapters>>

const resolver = fromSubdomain({ baseDomain: 'example.com' })
const factories = new Map<string, Factory>()

function createAccess(kind: string, env: Bindings): D1Access {
  if (kind === 'binding') return { kind: 'binding', env }
  if (kind === 'rest') return { kind: 'rest' }
  const { EMULATOR, NAMESPACE: namespace, SECRET: secret } = env
  return {
    kind: 'dispatch',
    namespace,
    secret,
    dispatcher: cloudflareEmulatorDispatcher(EMULATOR, namespace),
  }
}

/** The factory of an access method, shared by all requests of the isolate as an app shares it. */
function getFactory(c: Context<Env>): Factory {
  const kind = c.req.header('x-access') ?? ''
  const { ACCOUNT_ID: accountId, API_TOKEN: apiToken, EMULATOR } = c.env
  const existing = factories.get(kind)
  if (existing !== undefined) return existing
  const factory = createD1Factory<Adapters>({
    accountId,
    apiToken,
    databasePrefix: `${kind}_`,
    baseUrl: `${EMULATOR}/client/v4`,
    access: [createAccess(kind, c.env)],
    rateLimit: 1_000_000,
    openTimeout: 120_000, // The test is about isolation, not speed
    migrations: { '001': 'CREATE TABLE marker (tenant TEXT NOT NULL)' },
    seed: async ({ db }, { id }) => {
      await db.insertInto('marker').values({ tenant: id }).execute()
    },
  })
  factories.set(kind, factory)
  return factory
}

const tenancy: MiddlewareHandler<Env> = (c, next) =>
  createMultiTenancyMiddleware<Adapters>({
    databaseIsolation: getFactory(c),
    resolvers: [resolver],
    accessControl: { authorize: () => true },
  })(c as never, next)

/** The mistake that the middleware avoids: adapters on the env object that all requests share. */
const naive: MiddlewareHandler<Env> = async (c, next) => {
  c.env.data = await getFactory(c).getAdapters(String(await resolver(c)))
  await next()
}

/** Waits until all concurrent requests of the test have reached this point. */
async function passGate(c: Context<Env>, point: string): Promise<void> {
  await (await fetch(`${c.env.GATES}/${c.req.header('x-access')}${c.req.path}/${point}`)).text()
}

/** Reads the tenant's name from its database twice: after all requests have their adapters, and after all have read. */
async function whoAmI(c: Context<Env>): Promise<Response> {
  await passGate(c, 'before-first')
  const first = await c.env.data.db.selectFrom('marker').select('tenant').executeTakeFirstOrThrow()
  await passGate(c, 'before-second')
  const second = await c.env.data.db.selectFrom('marker').select('tenant').executeTakeFirstOrThrow()
  return c.json([first.tenant, second.tenant])
}

const app: Hono<Env> = new Hono<Env>()
app.post('/provision', async (c) => {
  await getFactory(c).provision(String(await resolver(c)))
  return c.body(null, 204)
})
app.get('/naive', naive, whoAmI)
app.get('/', tenancy, whoAmI)

export default app

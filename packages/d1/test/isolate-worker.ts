// The Worker of isolate.test.ts: every way to a tenant's database, in one workerd isolate.

import { cloudflareEmulatorDispatcher } from '@tenantry/emulators/client'
import { createMultiTenancyMiddleware, fromSubdomain, type TenancyEnv } from '@tenantry/multi-tenancy'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import type { Kysely } from 'kysely'
import { createD1Factory, type D1Access } from '../src/index.ts'

type Adapters = { db: Kysely<{ marker: { tenant: string } }> }
type Bindings = { ACCOUNT_ID: string; API_TOKEN: string; EMULATOR: string; NAMESPACE: string; SECRET: string }
type Env = TenancyEnv<Adapters> & { Bindings: Bindings }
type Factory = ReturnType<typeof createD1Factory<Adapters>>

const resolver = fromSubdomain({ baseDomain: 'example.com' })
const factories = new Map<string, Factory>()

function accessOf(way: string, env: Bindings): D1Access {
  if (way === 'binding') return { kind: 'binding', env }
  if (way === 'rest') return { kind: 'rest' }
  const { EMULATOR, NAMESPACE: namespace, SECRET: secret } = env
  return {
    kind: 'dispatch',
    namespace,
    secret,
    dispatcher: cloudflareEmulatorDispatcher(EMULATOR, namespace),
  }
}

/** One for all requests of the isolate, as an app has it. */
function factoryOf(c: Context<Env>): Factory {
  const way = c.req.header('x-way') ?? ''
  const { ACCOUNT_ID: accountId, API_TOKEN: apiToken, EMULATOR } = c.env
  const known = factories.get(way)
  if (known !== undefined) return known
  const made = createD1Factory<Adapters>({
    accountId,
    apiToken,
    databasePrefix: `${way}_`,
    baseUrl: `${EMULATOR}/client/v4`,
    access: [accessOf(way, c.env)],
    rateLimit: 1_000_000,
    openTimeout: 120_000, // Whose database it is, not how soon, is the question here
    migrations: { '001': 'CREATE TABLE marker (tenant TEXT NOT NULL)' },
    seed: async ({ db }, { id }) => {
      await db.insertInto('marker').values({ tenant: id }).execute()
    },
  })
  factories.set(way, made)
  return made
}

const tenancy: MiddlewareHandler<Env> = (c, next) =>
  createMultiTenancyMiddleware<Adapters>({
    databaseIsolation: factoryOf(c),
    resolvers: [resolver],
    accessControl: { authorize: () => true },
  })(c as never, next)

/** The mistake this library exists to avoid: adapters on the env object that all requests share. */
const naive: MiddlewareHandler<Env> = async (c, next) => {
  c.env.data = await factoryOf(c).getAdapters(String(await resolver(c)))
  await next()
}

async function pause(c: Context): Promise<void> {
  for (let turns = Number(c.req.query('turns') ?? 1); turns > 0; turns--) {
    await new Promise((resolve) => setTimeout(resolve, turns % 3))
  }
}

/** Which tenant the database itself says it is, asked before and after other requests had their turn. */
async function whoAmI(c: Context<Env>): Promise<Response> {
  await pause(c)
  const first = await c.env.data.db.selectFrom('marker').select('tenant').executeTakeFirstOrThrow()
  await pause(c)
  const second = await c.env.data.db.selectFrom('marker').select('tenant').executeTakeFirstOrThrow()
  return c.json([first.tenant, second.tenant])
}

const app: Hono<Env> = new Hono<Env>()
app.post('/provision', async (c) => {
  await factoryOf(c).provision(String(await resolver(c)))
  return c.body(null, 204)
})
app.get('/naive', naive, whoAmI)
app.get('/', tenancy, whoAmI)

export default app

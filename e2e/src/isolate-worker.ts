// The Worker of test/workers.test.ts: everything in it runs in one workerd isolate.

import {
  createMultiTenancyMiddleware,
  fromSubdomain,
  type TenancyEnv,
  type TenantResolver,
} from '@tenantry/multi-tenancy'
import { createTursoFactory } from '@tenantry/turso'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import type { Kysely } from 'kysely'

interface Database {
  marker: { tenant: string; hits: number }
}
type Adapters = { db: Kysely<Database> }
type Env = TenancyEnv<Adapters> & { Bindings: { ORGANIZATION: string; TOKEN: string } }

let factory: ReturnType<typeof createTursoFactory<Adapters>> | undefined
const resolver: TenantResolver = fromSubdomain({ baseDomain: 'example.com' })

/** Plain configuration, so one for all requests of the isolate. */
function getFactory(env: Env['Bindings']): NonNullable<typeof factory> {
  factory ??= createTursoFactory<Adapters>({
    organizationName: env.ORGANIZATION,
    apiToken: env.TOKEN,
    openTimeout: 120_000, // This test is about isolation, not latency.
  })
  return factory
}

const tenancy: MiddlewareHandler<Env> = (c, next) =>
  createMultiTenancyMiddleware<Adapters>({
    databaseIsolation: getFactory(c.env),
    resolvers: [resolver],
    accessControl: { authorize: () => true },
  })(c as never, next)

/** The mistake this library exists to avoid: adapters on the env object that all requests share. */
const naive: MiddlewareHandler<Env> = async (c, next) => {
  const tenant = String(await resolver(c))
  c.env.data = await getFactory(c.env).getAdapters(tenant)
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

const app = new Hono<Env>()
app.get('/naive', naive, whoAmI)
app.use(tenancy)
app.get('/', whoAmI)
app.get('/stream', (c) => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const write = async (): Promise<void> => {
    const writer = writable.getWriter()
    for (let part = 0; part < 3; part++) {
      await pause(c)
      const { tenant } = await c.env.data.db.selectFrom('marker').select('tenant').executeTakeFirstOrThrow()
      await writer.write(new TextEncoder().encode(`${tenant}\n`))
    }
    await writer.close()
  }
  c.executionCtx.waitUntil(write())
  return c.body(readable)
})
app.post('/later', (c) => {
  c.executionCtx.waitUntil(
    pause(c).then(async () => {
      await c.env.data.db
        .updateTable('marker')
        .set((eb) => ({ hits: eb('hits', '+', 1) }))
        .execute()
    }),
  )
  return c.body(null, 202)
})

export default app

import { createNotesApp, demoTenants } from '@tenantry-examples/notes'
import { Hono } from 'hono'
import { jwt } from 'hono/jwt'
import { createFactory, type Env } from './factory.ts'

// Created by the first request of this isolate and used by all. Nothing in it holds I/O, which no Worker may share
// between requests: a factory on Workers keeps plain data only (which database is whose).
let app: Hono | undefined

export default {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    app ??= createApp(env)
    return app.fetch(request, env)
  },
}

function createApp(env: Env): Hono {
  const { BASE_DOMAIN: baseDomain } = env
  const factory = createFactory(env)
  if (env.CLOUDFLARE_EMULATOR_URL === undefined) {
    // Deployed, only a verified token reaches its tenant, and tenants are provisioned elsewhere (see README.md).
    return createNotesApp(factory, {
      baseDomain,
      authenticate: jwt({ secret: env.JWT_SECRET, alg: 'HS256' }),
    })
  }
  // On the emulator it is a demo, open to anyone: which can also create tenants while the Worker runs.
  const demo = new Hono({ strict: false })
  demo.post('/tenants/:id', async (c) => {
    const id = c.req.param('id')
    await factory.provision(id)
    return c.json({ id }, 201)
  })
  demo.delete('/tenants/:id', async (c) => {
    await factory.deprovision(c.req.param('id'))
    return c.body(null, 204)
  })
  demo.route('/', createNotesApp(factory, { baseDomain, authenticate: 'anyone', tenants: demoTenants }))
  return demo
}

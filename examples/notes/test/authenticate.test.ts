import { createMemoryFactory } from '@tenantry/multi-tenancy/memory'
import { createNotesApp, demoTenants, migrations, seedDemo } from '@tenantry-examples/notes'
import type { Hono } from 'hono'
import { jwt, sign } from 'hono/jwt'
import { beforeAll, expect, test } from 'vitest'

const secret = 'a secret of this test alone'
let app: Hono

beforeAll(async () => {
  const factory = createMemoryFactory({ migrations, seed: seedDemo })
  for (const { id } of demoTenants) await factory.provision(id)
  app = createNotesApp(factory, { baseDomain: 'localhost', authenticate: jwt({ secret, alg: 'HS256' }) })
})

async function request(
  url: string,
  claims?: Record<string, unknown>,
  init: RequestInit = {},
): Promise<Response> {
  const headers = new Headers(init.headers)
  if (claims !== undefined) headers.set('authorization', `Bearer ${await sign(claims, secret, 'HS256')}`)
  return app.request(url, { ...init, headers })
}

test('a token reaches the tenant it was issued for, and no other', async () => {
  const ada = { sub: 'ada', tenant_id: 'acme' }
  expect((await request('http://acme.localhost/api/notes', ada)).status).toBe(200)
  expect((await request('http://globex.localhost/api/notes', ada)).status).toBe(404)
  expect((await request('http://localhost/t/globex/api/notes', ada)).status).toBe(404)
})

test('no token, and a token of no tenant, reach nothing', async () => {
  expect((await request('http://acme.localhost/api/notes')).status).toBe(401)
  expect((await request('http://acme.localhost/api/notes', { sub: 'ada' })).status).toBe(404)
})

test("the audit log names the token's subject", async () => {
  const ada = { sub: 'ada', tenant_id: 'acme' }
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"title":"Signed"}' }
  expect((await request('http://acme.localhost/api/notes', ada, init)).status).toBe(201)
  const { audit } = (await (await request('http://acme.localhost/api/audit', ada)).json()) as any
  expect(audit[0]).toMatchObject({ actor: 'ada', action: 'added note', subject: 'Signed' })
})

import { createCatalog } from '@tenantry/multi-tenancy/catalog'
import { createMemoryFactory, openSqlite } from '@tenantry/multi-tenancy/memory'
import {
  createNotesApp,
  demoTenants,
  migrations,
  type NotesAppOptions,
  seedDemo,
} from '@tenantry-examples/notes'
import { jwt, sign } from 'hono/jwt'
import { expect, test } from 'vitest'

const bare = 'http://localhost:8787'
const json = { 'content-type': 'application/json' }

async function setUp(options: Partial<NotesAppOptions> = {}) {
  const catalog = createCatalog({ db: openSqlite(), dialect: 'sqlite' })
  const factory = createMemoryFactory({ migrations, seed: seedDemo, catalog })
  for (const { id } of demoTenants) await factory.provision(id)
  const app = createNotesApp(factory, {
    baseDomain: 'localhost',
    authenticate: 'anyone',
    controlPlaneTenantId: 'main',
    tenants: demoTenants,
    ...options,
  })
  return { app, factory }
}

test('the landing page lists the tenants there are, and each button is a call of the API that works', async () => {
  const { app, factory } = await setUp()
  await factory.provision('initech')
  const seen = new Set<string>()
  const states = ['active', 'suspended', 'active', 'deleted', 'active']
  const wanted = ['suspend', 'resume', '', 'undelete']
  for (const [index, state] of states.entries()) {
    const page = await (await app.request(`${bare}/`)).text()
    const [, row = ''] = /<li[^>]*>((?:(?!<li)[\s\S])*?initech[\s\S]*?)<\/li>/.exec(page) ?? []
    expect(row).toContain(`<span class="tag">${state}</span>`)
    const buttons = [...row.matchAll(/data-method="(\w+)" data-path="([^"]+)"/g)].map(
      ([, method = '', path = '']) => ({
        method,
        path,
      }),
    )
    const path = ['/tenants/initech', wanted[index]].filter(Boolean).join('/')
    const button = buttons.find((one) => one.path === path)
    if (index === wanted.length) break
    seen.add(path)
    const answer = await app.request(`${bare}${path}`, {
      method: button?.method ?? '',
      headers: json,
      body: '{}',
    })
    expect(answer.status).toBe(200)
  }
  expect(seen.size).toBe(4)
})

test("only the page's own script may run, and nothing of a tenant's name gets into it", async () => {
  const { app } = await setUp({ tenants: [{ id: 'acme', name: '"><script>alert(1)</script>' }] })
  const response = await app.request(`${bare}/`)
  const page = await response.text()
  expect(page.match(/<script/g)).toHaveLength(1)
  const [, nonce] = /<script nonce="([^"]+)"/.exec(page) ?? []
  const policy = response.headers.get('content-security-policy') ?? ''
  expect(policy).toContain(`script-src 'nonce-${nonce}'`)
  expect(policy).toContain("default-src 'none'")
  expect(response.headers.get('cache-control')).toBe('no-store')
  const again = await (await app.request(`${bare}/`)).text()
  expect(again).not.toContain(`nonce="${nonce}"`)
})

test('a page of another site cannot use an API that is open to anyone', async () => {
  const { app } = await setUp()
  for (const type of [undefined, 'text/plain', 'application/x-www-form-urlencoded']) {
    const headers = { origin: 'http://evil.example', ...(type && { 'content-type': type }) }
    const answer = await app.request(`${bare}/tenants/acme/suspend`, { method: 'POST', headers })
    expect(answer.status).toBe(403)
  }
  const preflight = await app.request(`${bare}/tenants/acme`, {
    method: 'OPTIONS',
    headers: { origin: 'http://evil.example', 'access-control-request-method': 'DELETE' },
  })
  expect(preflight.headers.get('access-control-allow-origin')).toBeNull()
  expect((await app.request('http://acme.localhost/')).status).toBe(200)
})

test("with tokens, only the control plane's reach the API, and the landing page manages nothing", async () => {
  const secret = 'a secret of this test alone'
  const { app } = await setUp({ authenticate: jwt({ secret, alg: 'HS256' }) })
  const ask = async (tenant_id?: string) => {
    const token = tenant_id && (await sign({ tenant_id }, secret, 'HS256'))
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
    return (await app.request(`${bare}/tenants/acme`, { headers })).status
  }
  expect([await ask(), await ask('acme'), await ask('main')]).toEqual([401, 403, 200])
  const page = await (await app.request(`${bare}/`)).text()
  expect(page).not.toContain('data-path')
})

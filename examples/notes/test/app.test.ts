import type { TenantFactory } from '@tenantry/multi-tenancy'
import { createMemoryFactory } from '@tenantry/multi-tenancy/memory'
import {
  createNotesApp,
  demoTenants,
  migrations,
  type NotesAdapters,
  seedDemo,
} from '@tenantry-examples/notes'
import type { Hono } from 'hono'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'

const json = { 'content-type': 'application/json' }
let factory: TenantFactory<NotesAdapters>
let app: Hono

beforeEach(async () => {
  factory = createMemoryFactory({ migrations, seed: seedDemo })
  for (const { id } of demoTenants) await factory.provision(id)
  app = createNotesApp(factory, { baseDomain: 'localhost', authenticate: 'anyone', tenants: demoTenants })
})

async function get(url: string): Promise<any> {
  const response = await app.request(url)
  expect(response.status).toBe(200)
  return response.json()
}

function post(url: string, body: unknown): Response | Promise<Response> {
  return app.request(url, { method: 'POST', headers: json, body: JSON.stringify(body) })
}

function postForm(url: string, fields: Record<string, string>, origin: string): Response | Promise<Response> {
  return app.request(url, { method: 'POST', headers: { origin }, body: new URLSearchParams(fields) })
}

describe.each(['http://acme.localhost:8787', 'http://localhost:8787/t/acme'])('a tenant at %s', (acme) => {
  test('lists its notes, newest first', async () => {
    const { notes } = await get(`${acme}/api/notes`)
    expect(notes.map((note: any) => note.title)).toEqual(['Launch window', 'Supplier'])
  })

  test('adds a note, reads it, deletes it, and the audit log says so', async () => {
    const added = await post(`${acme}/api/notes`, { title: ' Fuse ', body: 'long' })
    expect(added.status).toBe(201)
    const note = (await added.json()) as any
    expect(note).toMatchObject({ title: 'Fuse', body: 'long', created: expect.stringMatching(/^\d{4}-.*Z$/) })
    expect(await get(`${acme}/api/notes/${note.id}`)).toEqual(note)

    expect((await app.request(`${acme}/api/notes/${note.id}`, { method: 'DELETE' })).status).toBe(204)
    expect((await app.request(`${acme}/api/notes/${note.id}`)).status).toBe(404)
    expect((await app.request(`${acme}/api/notes/${note.id}`, { method: 'DELETE' })).status).toBe(404)

    const { audit } = await get(`${acme}/api/audit`)
    const ours = audit.filter((entry: any) => entry.subject === 'Fuse')
    expect(ours.map((entry: any) => `${entry.actor} ${entry.action}`).sort()).toEqual([
      'Visitor added note',
      'Visitor deleted note',
    ])
  })

  test('adds a member once', async () => {
    const member = { name: 'Marvin', email: 'Marvin@Acme.example', role: 'admin' }
    const added = await post(`${acme}/api/members`, member)
    expect(added.status).toBe(201)
    expect(await added.json()).toMatchObject({ name: 'Marvin', email: 'marvin@acme.example', role: 'admin' })
    expect((await post(`${acme}/api/members`, member)).status).toBe(409)
    const { members } = await get(`${acme}/api/members`)
    expect(members.map((one: any) => one.name)).toEqual(['Marvin', 'Roadrunner', 'Wile E.'])
    const { audit } = await get(`${acme}/api/audit`)
    expect(audit.filter((entry: any) => entry.action === 'added member')).toHaveLength(1)
  })

  test('has a page of its own, whose form adds a note and comes back', async () => {
    const page = await (await app.request(`${acme}/`)).text()
    expect(page).toContain('<h1>Acme Rockets</h1>')
    expect(page).toContain('Launch window')
    expect(page).not.toContain('Globex')
    const base = new URL(acme).pathname.replace(/\/$/, '')
    expect(page).toContain(`action="${base}/notes"`)
    expect(page).toContain(`href="${base}/api/notes"`)
    expect(page).toContain(base === '' ? 'href="//localhost:8787/"' : 'href="/"')

    const { origin } = new URL(acme)
    const posted = await postForm(`${acme}/notes`, { title: 'By form', body: '' }, origin)
    expect([posted.status, posted.headers.get('location')]).toEqual([303, `${base}/`])
    expect(await (await app.request(`${acme}/`)).text()).toContain('By form')
  })

  test('refuses a form of another site', async () => {
    const response = await postForm(`${acme}/notes`, { title: 'x' }, 'http://globex.localhost:8787')
    expect(response.status).toBe(403)
    const text = await app.request(`${acme}/api/notes`, { method: 'POST', body: '{"title":"x"}' })
    expect(text.status).toBe(415)
    expect((await get(`${acme}/api/notes`)).notes).toHaveLength(2)
  })

  test.each([
    ['notes', {}, 'title: is missing'],
    ['notes', { title: '   ' }, 'title: is missing'],
    ['notes', { title: 7 }, 'title: must be text'],
    ['notes', { title: 'x'.repeat(201) }, 'title: has more than 200 characters'],
    ['notes', { title: 'x', body: ['a'] }, 'body: must be text'],
    ['notes', { title: 'x\0y' }, 'title: has a NUL character'],
    ['notes', ['title'], 'The body must be a JSON object'],
    ['members', { name: 'A', email: 'no-address' }, 'email: must be an address, such as ada@example.com'],
    ['members', { name: 'A', email: 'a@b.example', role: 'owner' }, 'role: must be admin or member'],
    ['members', { email: 'a@b.example' }, 'name: is missing'],
  ])('answers 400 to %s %j', async (path, body, detail) => {
    const response = await post(`${acme}/api/${path}`, body)
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(await response.json()).toEqual({ type: 'about:blank', title: 'Bad Request', status: 400, detail })
  })

  test('answers 400 to a body that is not JSON and 413 to a body that is too large', async () => {
    const options = { method: 'POST', headers: json }
    expect((await app.request(`${acme}/api/notes`, { ...options, body: '{' })).status).toBe(400)
    const huge = await post(`${acme}/api/notes`, { title: 'x', body: 'x'.repeat(70_000) })
    expect(huge.status).toBe(413)
  })

  test('shows user input as text, never as markup', async () => {
    const attack = '"><script>alert(1)</script><img src=x onerror=alert(1)>\'&amp;'
    await post(`${acme}/api/notes`, { title: attack, body: attack })
    await post(`${acme}/api/members`, { name: attack, email: '<svg/onload=1>@x.example' })
    const response = await app.request(`${acme}/`)
    const page = await response.text()
    expect(page).not.toMatch(/<script|<img|<svg/)
    expect(page.split('&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;').length - 1).toBe(5)
    expect(page).toContain('&amp;amp;')
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
  })
})

test("a tenant's note is not there for another tenant", async () => {
  const { notes } = await get('http://acme.localhost/api/notes')
  const { id } = notes[0]
  for (const globex of ['http://globex.localhost', 'http://localhost/t/globex']) {
    for (const method of ['GET', 'DELETE']) {
      const response = await app.request(`${globex}/api/notes/${id}`, { method })
      expect([response.status, response.headers.get('content-type')]).toEqual([
        404,
        'application/problem+json',
      ])
    }
  }
  expect((await get('http://acme.localhost/api/notes')).notes).toEqual(notes)
})

test('a write is rolled back when its audit entry fails', async () => {
  // Hono's default error handler prints what the app did not catch.
  const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => logged.mockRestore())
  const { db } = await factory.getAdapters('acme')
  await db.schema.dropTable('audit_log').execute()
  expect((await post('http://acme.localhost/api/notes', { title: 'unrecorded' })).status).toBe(500)
  const { notes } = await get('http://acme.localhost/api/notes')
  expect(notes.map((note: any) => note.title)).toEqual(['Launch window', 'Supplier'])
})

test('interleaved requests stay with their tenants', async () => {
  const tenants = ['acme', 'globex', 'acme', 'globex', 'globex', 'acme']
  await Promise.all(
    tenants.map((id, index) => post(`http://${id}.localhost/api/notes`, { title: `${id} ${index}` })),
  )
  const pages = await Promise.all(tenants.map((id) => get(`http://localhost/t/${id}/api/notes`)))
  for (const [index, id] of tenants.entries()) {
    const titles: string[] = pages[index].notes.map((note: any) => note.title)
    expect(
      titles.filter((title) => /^(acme|globex) \d$/.test(title)).every((title) => title.startsWith(id)),
    ).toBe(true)
    expect(titles.filter((title) => title.startsWith(id))).toHaveLength(3)
  }
})

test.each([
  ['http://unknown.localhost/', 404],
  ['http://localhost/t/unknown/api/notes', 404],
  ['http://acme.evil.example/', 404],
  ['http://evil-localhost/', 404],
  ['http://a.acme.localhost/', 404],
  ['http://acme.localhost.evil.example/api/notes', 404],
  ['http://localhost/api/notes', 404],
  ['http://acme.localhost/t/globex/', 400],
  ['http://localhost/t/ACME/', 400],
  ['http://localhost/t/%61cme/', 400],
  ['http://localhost/t/..%2facme/', 400],
  ['http://acme.localhost/nothing-here', 404],
])('%s is %i, as problem+json', async (url, status) => {
  const response = await app.request(url)
  expect([response.status, response.headers.get('content-type')]).toEqual([
    status,
    'application/problem+json',
  ])
})

test('the bare host lists the tenants, with links that work', async () => {
  const page = await (await app.request('http://localhost:8787/')).text()
  const links = [...page.matchAll(/href="([^"]+)"/g)].map(
    ([, link]) => new URL(String(link), 'http://localhost:8787').href,
  )
  expect(links).toEqual([
    'http://localhost:8787/t/acme/',
    'http://acme.localhost:8787/',
    'http://localhost:8787/t/globex/',
    'http://globex.localhost:8787/',
  ])
  for (const link of links) expect((await app.request(link)).status).toBe(200)
  expect((await app.request('http://localhost:8787/t/acme')).status).toBe(200)
})

test("a tenant's page is kept out of shared caches", async () => {
  const { headers } = await app.request('http://acme.localhost/')
  expect(headers.get('cache-control')).toBe('private, no-store')
  expect(headers.get('vary')).toMatch(/host/i)
})

test('a tenant provisioned without the seed has a page that says so', async () => {
  const bare: TenantFactory<NotesAdapters> = createMemoryFactory<NotesAdapters>({ migrations })
  await bare.provision('initech')
  const page = await createNotesApp(bare, { baseDomain: 'localhost', authenticate: 'anyone' }).request(
    '/t/initech/',
  )
  expect(await page.text()).toMatch(/<h1>initech<\/h1>[\s\S]*No notes yet\./)
})

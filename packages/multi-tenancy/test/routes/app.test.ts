import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { setupMultiTenancy } from '../../src/setup.ts'
import type { AccessControlOptions } from '../../src/types/access-control.ts'
import { payloadFromHeader, readCode } from '../middleware/test-databases.ts'

const control = { 'x-test-payload': '{"tenant_id":"main"}' }
const json = { ...control, 'content-type': 'application/json' }

/** The management app below `/tenants`, over databases in a set. */
function setUp(accessControl: AccessControlOptions | undefined = { controlPlaneTenantId: 'main' }) {
  const databases = new Set(['main', 'acme'])
  const { app: tenants } = setupMultiTenancy({
    ...(accessControl && { accessControl }),
    databaseIsolation: {
      async getAdapters(id) {
        if (!databases.has(id)) throw new TenancyError('tenant_not_found', `no database of ${id}`)
        return { id }
      },
      async onProvision(id) {
        databases.add(id)
      },
      async onDeprovision(id) {
        databases.delete(id)
      },
    },
  })
  const app = new Hono()
  payloadFromHeader(app)
  app.route('/tenants', tenants)
  return { app, databases }
}

const post = (app: Hono, body: string | ReadableStream, headers: Record<string, string> = json) =>
  app.request('/tenants', { method: 'POST', body, headers, duplex: 'half' } as RequestInit)

describe('the management of tenants', () => {
  test('creates, shows and deletes a tenant', async () => {
    const { app, databases } = setUp()
    const created = await post(app, '{"id":"new"}')
    expect([created.status, created.headers.get('location'), await created.json()]).toEqual([
      201,
      '/tenants/new',
      { id: 'new', state: 'active' },
    ])
    expect(databases).toContain('new')
    const shown = await app.request('/tenants/new', { headers: control })
    expect([shown.status, shown.headers.get('cache-control'), await shown.json()]).toEqual([
      200,
      'no-store',
      { id: 'new', state: 'active' },
    ])
    const remove = () => app.request('/tenants/new', { method: 'DELETE', headers: control })
    expect((await remove()).status).toBe(204)
    expect(databases).not.toContain('new')
    expect((await app.request('/tenants/new', { headers: control })).status).toBe(404)
    expect((await remove()).status).toBe(204)
  })

  test('confirms an existing tenant', async () => {
    expect((await post(setUp().app, '{"id":"acme"}')).status).toBe(201)
  })

  test('does not delete the control-plane tenant', async () => {
    const { app, databases } = setUp()
    const response = await app.request('/tenants/main', { method: 'DELETE', headers: control })
    expect(await readCode(response)).toBe('forbidden')
    expect(databases).toContain('main')
  })

  test('responds with problem+json', async () => {
    const response = await setUp().app.request('/tenants/unknown', { headers: control })
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(await response.json()).toMatchObject({ status: 404, code: 'tenant_not_found' })
  })

  test.each([
    ['GET', ''],
    ['PATCH', '/acme'],
    ['POST', '/acme/suspend'],
    ['POST', '/acme/undelete'],
    ['POST', '/acme/purge'],
    ['GET', '/acme/operations'],
    ['GET', '/operations/x'],
    ['GET', '/openapi.json'],
    ['PUT', '/acme'],
  ])('reports not_supported for %s %s without a catalog', async (method, path) => {
    const response = await setUp().app.request(`/tenants${path}`, { method, headers: control })
    expect([response.status, response.headers.get('content-type')]).toEqual([501, 'application/problem+json'])
    expect(await response.json()).toMatchObject({
      code: 'not_supported',
      detail: expect.stringContaining('catalog'),
    })
  })

  test.each([
    ['/tenants', 'not_supported'],
    ['/tenants/%61cme', 'invalid_tenant_id'],
    ['/tenants/ACME', 'invalid_tenant_id'],
    ['/tenants/www', 'invalid_tenant_id'],
    ['/tenants/a%2Facme', 'invalid_tenant_id'],
    ['/tenants/acme%00', 'invalid_tenant_id'],
  ])('responds to GET %s with %s', async (path, code) => {
    expect(await readCode(await setUp().app.request(path, { headers: control }))).toBe(code)
  })
})

describe('a body', () => {
  test.each([
    ['{"id":"ACME"}', 'invalid_tenant_id'],
    ['{"id":"www"}', 'invalid_tenant_id'],
    ['{"id":0}', 'invalid_tenant_id'],
    ['{"id":["new"]}', 'invalid_tenant_id'],
    ['{"id":{"toString":"new"}}', 'invalid_tenant_id'],
    ['{"id":"new","state":"active"}', 'invalid_request'],
    ['{"id":"new","__proto__":{}}', 'invalid_request'],
    ['{"__proto__":{"id":"new"}}', 'invalid_request'],
    ['{}', 'invalid_request'],
    ['[]', 'invalid_request'],
    ['["new"]', 'invalid_request'],
    ['null', 'invalid_request'],
    ['"new"', 'invalid_request'],
    ['', 'invalid_request'],
    ['{"id":"new"', 'invalid_request'],
    [`{"id":"${'x'.repeat(2000)}"}`, 'invalid_request'],
    [`${' '.repeat(1025)}{"id":"new"}`, 'invalid_request'],
  ])('%s is rejected', async (body, code) => {
    const { app, databases } = setUp()
    expect(await readCode(await post(app, body))).toBe(code)
    expect(databases.size).toBe(2)
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', 'text/json', ''])(
    'of type %j is refused',
    async (type) => {
      expect(
        await readCode(await post(setUp().app, '{"id":"new"}', { ...control, 'content-type': type })),
      ).toBe('invalid_request')
    },
  )

  test('may declare its charset', async () => {
    const type = { ...control, 'content-type': 'Application/JSON; charset=utf-8' }
    expect((await post(setUp().app, '{"id":"new"}', type)).status).toBe(201)
  })

  test('that is not UTF-8 is rejected', async () => {
    const body = new Response(new Uint8Array([0x7b, 0xff, 0x7d])).body as ReadableStream
    expect(await readCode(await post(setUp().app, body))).toBe('invalid_request')
  })

  test('without an end is rejected before it is read completely', async () => {
    let pulled = 0
    let cancelled = false
    const body = new ReadableStream({
      pull(controller) {
        pulled += 1
        controller.enqueue(new Uint8Array(600))
      },
      cancel() {
        cancelled = true
      },
    })
    expect(await readCode(await post(setUp().app, body))).toBe('invalid_request')
    expect(pulled).toBeLessThan(6)
    expect(cancelled).toBe(true)
  })
})

describe('only the control plane is allowed', () => {
  const calls: [string, RequestInit][] = [
    ['/tenants', { method: 'POST', body: '{"id":"new"}' }],
    ['/tenants', {}],
    ['/tenants/openapi.json', {}],
    ['/tenants/acme/suspend', { method: 'POST' }],
    ['/tenants/acme', { method: 'PATCH', body: '{}' }],
    ['/tenants/acme', {}],
    ['/tenants/unknown', {}],
    ['/tenants/acme', { method: 'DELETE' }],
    ['/tenants/www', { method: 'DELETE' }],
  ]
  const everyCode = async (app: Hono, headers: Record<string, string>) => {
    const codes = new Set<unknown>()
    for (const [path, init] of calls) {
      const type = { 'content-type': 'application/json' }
      codes.add(await readCode(await app.request(path, { ...init, headers: { ...type, ...headers } })))
    }
    return [...codes]
  }

  test.each<[string, AccessControlOptions, unknown, string]>([
    ['no token', { controlPlaneTenantId: 'main' }, undefined, 'unauthenticated'],
    ["a tenant's token", { controlPlaneTenantId: 'main' }, { tenant_id: 'acme' }, 'forbidden'],
    ['a token of no tenant', { controlPlaneTenantId: 'main' }, { sub: 'main' }, 'forbidden'],
    [
      "another issuer's token",
      { mainTenantId: 'main', issuer: 'us' },
      { tenant_id: 'main' },
      'unauthenticated',
    ],
    ['any token without a control plane', {}, { tenant_id: 'main' }, 'forbidden'],
    ['a token of no tenant without a control plane', {}, {}, 'forbidden'],
    ["a tenant's own authorize", { authorize: () => true }, { tenant_id: 'main' }, 'forbidden'],
    ['a predicate that says no', { authorizeControlPlane: () => false }, { tenant_id: 'main' }, 'forbidden'],
    ['a predicate that is unsure', { authorizeControlPlane: () => 1 as never }, {}, 'forbidden'],
    ['a predicate that fails', { authorizeControlPlane: () => Promise.reject() }, {}, 'internal'],
  ])('%s is rejected', async (_, accessControl, payload, code) => {
    const { app, databases } = setUp(accessControl)
    const headers: Record<string, string> =
      payload === undefined ? {} : { 'x-test-payload': JSON.stringify(payload) }
    expect(await everyCode(app, headers)).toEqual([code])
    expect([...databases]).toEqual(['main', 'acme'])
  })

  test('or a caller that authorizeControlPlane allows', async () => {
    const { app } = setUp({ authorizeControlPlane: async (c) => c.req.header('x-admin') === 'yes' })
    expect((await app.request('/tenants/acme', { headers: { 'x-admin': 'yes' } })).status).toBe(200)
    expect((await app.request('/tenants/acme')).status).toBe(403)
  })
})

import { describe, expect, test } from 'vitest'
import type { AccessControlOptions } from '../../src/types/access-control.ts'
import { CONTROL, createTestApi, type TestApi } from './test-api.ts'

/** Calls of every route, for an existing tenant and for others, and of paths that are not routes. */
function everyCall({ document }: TestApi, uid: string, operation: string): [string, string, unknown][] {
  const calls: [string, string, unknown][] = []
  for (const [template, item] of Object.entries<object>(document.paths)) {
    for (const method of Object.keys(item)) {
      const bodies: Record<string, unknown> = {
        'post /tenants': { id: 'fresh' },
        'patch /tenants/{id}': { metadata: { touched: true } },
        'post /tenants/{id}/purge': { uid },
      }
      for (const id of ['acme', 'unknown', 'www', 'main']) {
        const path = template.replace('{id}', id).replace('{operationId}', operation).replace('/tenants', '')
        calls.push([method.toUpperCase(), path || '/', bodies[`${method} ${template}`]])
      }
    }
  }
  return [
    ...calls,
    ['POST', '/', '{"id":'],
    ['POST', '/', { id: 'acme' }],
    ['PATCH', '/acme', 'x'.repeat(100_000)],
    ['GET', '/acme/nothing', undefined],
    ['PUT', '/acme', undefined],
    ['OPTIONS', '/acme', undefined],
    ['HEAD', '/acme', undefined],
    ['GET', '/?state=no', undefined],
  ]
}

const tokens: [string, object | undefined, string][] = [
  ['no token', undefined, 'unauthenticated'],
  ["a tenant's own token", { iss: 'us', tenant_id: 'acme' }, 'forbidden'],
  ["a foreign tenant's token", { iss: 'us', tenant_id: 'globex' }, 'forbidden'],
  ['a token of no tenant', { iss: 'us', sub: 'main' }, 'forbidden'],
  ["the control plane's token of another issuer", { iss: 'them', tenant_id: 'main' }, 'unauthenticated'],
  ["the control plane's token without an issuer", { tenant_id: 'main' }, 'unauthenticated'],
  ['a token of two tenants', { iss: 'us', tenant_id: 'main', org_id: 'acme' }, 'tenant_ambiguous'],
  ['a list of tenants', { iss: 'us', tenant_id: ['main'] }, 'invalid_tenant_id'],
]

describe('every route and every unknown path', () => {
  test.each(tokens)('rejects %s alike for every tenant, before any read', async (_, payload, code) => {
    const accessControl = { controlPlaneTenantId: 'main', issuer: 'us' }
    const queries: string[] = []
    const api = await createTestApi({ accessControl: { authorizeControlPlane: () => true } })
    const { body } = await api.call('POST', '/', { id: 'acme' })
    const guarded = await createTestApi({ beside: api, accessControl, document: api.document })
    const calls = everyCall(api, body.uid, body.lastOperation)
    expect(calls.length).toBeGreaterThan(50)
    guarded.watch(queries)
    const answers = new Set<string>()
    for (const [method, path, sent] of calls) {
      const answer = await guarded.app.request(`/tenants${path === '/' ? '' : path}`, {
        method,
        headers: {
          'content-type': 'application/json',
          ...(payload && { 'x-test-payload': JSON.stringify(payload) }),
        },
        ...(sent !== undefined && { body: typeof sent === 'string' ? sent : JSON.stringify(sent) }),
      })
      const headers = [...answer.headers].filter(([name]) => name !== 'content-length')
      const text = method === 'HEAD' ? `{"code":"${code}"}` : await answer.text()
      expect(JSON.parse(text).code, `${method} ${path}`).toBe(code)
      if (method !== 'HEAD') answers.add(JSON.stringify([answer.status, headers, text]))
    }
    expect(answers.size).toBe(1)
    expect(queries).toEqual([])
    expect((await api.call('GET', '/acme')).body).toMatchObject({ state: 'active', metadata: {} })
    expect((await api.call('GET', '/fresh')).status).toBe(404)
  })

  test.each<[string, AccessControlOptions]>([
    ['no option names the control plane', {}],
    ['only tenants have a rule', { authorize: () => true }],
    ['the predicate says no', { authorizeControlPlane: () => false }],
    ['the predicate is unsure', { authorizeControlPlane: () => 1 as never }],
  ])('rejects every caller when %s', async (_, accessControl) => {
    const api = await createTestApi()
    const guarded = await createTestApi({ beside: api, accessControl, document: api.document })
    for (const [method, path, sent] of everyCall(api, '', '')) {
      if (method === 'HEAD') continue
      const answer = await guarded.call(method, path, sent)
      expect(answer.body.code, `${method} ${path}`).toBe('forbidden')
    }
  })
})

test("accepts the control plane's token on every route of the document", async () => {
  const headers = { 'x-test-payload': '{"iss":"us","tenant_id":"main"}' }
  const api = await createTestApi({ accessControl: { controlPlaneTenantId: 'main', issuer: 'us' }, headers })
  const { body } = await api.call('POST', '/', { id: 'acme' })
  for (const [method, path, sent] of everyCall(api, body.uid, body.lastOperation)) {
    const { status } = await api.call(method, path, sent)
    expect([401, 500], `${method} ${path}`).not.toContain(status)
  }
  const routes = new Set([...api.seen].map((seen) => seen.replace(/ \d+$/, '')))
  const described = Object.entries<object>(api.document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path.slice('/tenants'.length) || '/'}`),
  )
  expect([...routes].sort()).toEqual(described.sort())
})

test('accepts a caller that authorizeControlPlane allows without a token', async () => {
  const api = await createTestApi({
    accessControl: { authorizeControlPlane: async (c) => c.req.header('x-admin') === 'yes' },
    headers: { 'x-admin': 'yes' },
  })
  expect((await api.app.request('/tenants', { headers: { 'x-admin': 'yes' } })).status).toBe(200)
  expect((await api.app.request('/tenants', { headers: CONTROL })).status).toBe(403)
})

import { Validator } from '@seriousme/openapi-schema-validator'
import fc from 'fast-check'
import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import { createContract } from './contract.ts'
import { CONTROL, createTestApi } from './test-api.ts'

describe('the document', () => {
  test('is valid OpenAPI 3.1 without a dangling reference', async () => {
    const { document } = await createTestApi()
    const validator = new Validator()
    expect(await validator.validate(structuredClone(document))).toEqual({ valid: true })
    expect(validator.version).toBe('3.1')
    const texts = JSON.stringify(document)
    for (const [, name] of texts.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      expect(document.components.schemas).toHaveProperty(name ?? '')
    }
  })

  test('has a unique operationId, a summary and every error for each route', async () => {
    const { document } = await createTestApi()
    const routes = Object.values<object>(document.paths).flatMap((item) => Object.values<any>(item))
    expect(routes).toHaveLength(13)
    expect(new Set(routes.map(({ operationId }) => operationId)).size).toBe(13)
    for (const { summary, responses } of routes) {
      expect(summary).not.toBe('')
      expect(Object.keys(responses)).toEqual(expect.arrayContaining(['400', '401', '403', 'default']))
    }
  })

  test('names the paths where the API is mounted', async () => {
    const { multiTenancy } = await createTestApi()
    for (const mount of ['', '/admin/tenants']) {
      const app = new Hono()
      app.use(async (c, next) => {
        c.set('jwtPayload' as never, JSON.parse(c.req.header('x-test-payload') ?? 'null') as never)
        await next()
      })
      app.route(mount === '' ? '/' : mount, multiTenancy.app)
      const { document, request } = await createContract(app, mount, CONTROL)
      expect(Object.keys(document.paths)).toContain(`${mount}/{id}/suspend`)
      expect(Object.keys(document.paths)).toContain(mount || '/')
      expect((await request('/', { headers: CONTROL })).status).toBe(200)
    }
  })
})

test('describes the response to every request, which is never a server error', async () => {
  const api = await createTestApi()
  const bodies: Record<string, unknown[]> = {
    'POST /tenants': [{ id: 'acme' }, { id: 'globex', metadata: { a: 1 } }],
    'PATCH /tenants/{id}': [{ metadata: { a: null, b: 'x' } }, { metadata: {} }],
    'POST /tenants/{id}/purge': [{ uid: 'x' }],
  }
  const routes = Object.entries<object>(api.document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => [method.toUpperCase(), path] as const),
  )
  const id = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('acme', 'globex', 'operations') },
    fc.string({ unit: 'grapheme', minLength: 1 }).map(encodeURIComponent),
  )
  const value = fc.oneof(
    fc.constantFrom('active', 'true', '5', 'PT0S', 'P1D', '2026-01-01T00:00:00Z', 'a'),
    fc.string({ unit: 'grapheme' }),
  )
  const name = fc.constantFrom(
    'state', 'limit', 'cursor', 'idPrefix', 'createdAfter', 'placement', 'total', 'retention', 'x',
  ) // biome-ignore format: one list
  const call = fc
    .record({
      route: fc.constantFrom(...routes),
      id,
      query: fc.oneof(
        { weight: 4, arbitrary: fc.constant([]) },
        fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 2 }),
      ),
      body: fc.oneof(fc.constant('right'), fc.constant(undefined), fc.json(), fc.string()),
      pick: fc.nat(1),
      key: fc.option(fc.stringMatching(/^[!-~]{1,3}$/), { nil: undefined }),
    })
    .map(({ route: [method, path], id: tenant, query, body, pick, key }) => {
      const right = bodies[`${method} ${path}`]
      const sent = body === 'right' ? right?.[pick % right.length] : body
      const target = path.replace('/tenants', '').replace(/\{\w+\}/, () => tenant)
      return { method, target, query, sent: method === 'GET' ? undefined : sent, key }
    })
  const statuses = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 12 }), async (calls) => {
      for (const { method, target, query, sent, key } of calls) {
        const search = new URLSearchParams(query).toString()
        const path = `${target || '/'}${search === '' ? '' : `?${search}`}`
        const { status } = await api.call(
          method,
          path,
          sent,
          key === undefined ? {} : { 'idempotency-key': key },
        )
        expect(status, `${method} ${path}`).toBeLessThan(500)
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      }
    }),
    { numRuns: 60 },
  )
  console.log(`answers: ${JSON.stringify(Object.fromEntries([...statuses].sort()))}`)
  expect([...statuses.keys()]).toEqual(expect.arrayContaining([200, 400, 404]))
})

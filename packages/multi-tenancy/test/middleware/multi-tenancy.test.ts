import { Hono } from 'hono'
import { jwt, sign } from 'hono/jwt'
import { beforeAll, describe, expect, test } from 'vitest'
import { createMultiTenancyMiddleware } from '../../src/request/multi-tenancy.ts'
import type { TenancyOptions } from '../../src/request/options.ts'
import { fromClaim } from '../../src/request/resolvers/claim.ts'
import { fromPath } from '../../src/request/resolvers/path.ts'
import { createTestDatabases, ownerApp, payloadFromHeader, readCode, seen } from './test-databases.ts'

const createTokenHeader = (tenant: string): Record<string, string> => ({
  'x-test-payload': JSON.stringify({ tenant_id: tenant }),
})

function setUp(options: Partial<TenancyOptions> = {}, preset?: unknown) {
  const testDatabases = createTestDatabases(['acme', 'victim', 'main'], ['late'])
  const app = ownerApp((app) => {
    payloadFromHeader(app)
    app.use(async (c, next) => {
      if (preset !== undefined) c.set('tenant_id' as never, preset as never)
      await next()
    })
    app.use(
      createMultiTenancyMiddleware({
        databaseIsolation: testDatabases.databaseIsolation,
        ...options,
      } as never),
    )
  })
  const reach = async (url: string, headers: Record<string, string> = {}) => {
    const response = await app.request(url, { headers })
    return response.ok ? response.text() : readCode(response)
  }
  return { ...testDatabases, app, reach }
}

describe('without a resolver', () => {
  test('serves the tenant that an earlier middleware set, and the token must match it', async () => {
    const { reach, requestedTenants } = setUp({}, 'acme')
    expect(await reach('/', createTokenHeader('acme'))).toBe('acme')
    expect(await reach('/', createTokenHeader('victim'))).toBe('tenant_not_found')
    expect(await reach('/')).toBe('unauthenticated')
    expect(requestedTenants).toEqual(['acme'])
  })

  test('serves the tenant of the verified token when no earlier middleware set one', async () => {
    const { reach, requestedTenants } = setUp({ accessControl: { controlPlaneTenantId: 'main' } })
    expect(await reach('/', createTokenHeader('acme'))).toBe('acme')
    expect(await reach('/')).toBe('tenant_unresolved')
    expect(await reach('/', createTokenHeader('main'))).toBe('tenant_unresolved')
    expect(await reach('/', createTokenHeader('ACME'))).toBe('invalid_tenant_id')
    expect(requestedTenants).toEqual(['acme'])
  })

  test('rejects a preset tenant that is not a valid id', async () => {
    for (const preset of ['ACME', '', 0, ['acme'], 'www']) {
      expect(await setUp({}, preset).reach('/', createTokenHeader('acme'))).toBe('invalid_tenant_id')
    }
  })
})

describe('with resolvers', () => {
  const subdomainRouting = { baseDomain: 'example.com' }
  const accessControl = { controlPlaneTenantId: 'main' }

  test('the host says which tenant, the token who may', async () => {
    const { reach, requestedTenants } = setUp({ subdomainRouting, accessControl })
    expect(await reach('http://acme.example.com/', createTokenHeader('acme'))).toBe('acme')
    expect(await reach('http://victim.example.com/', createTokenHeader('acme'))).toBe('tenant_not_found')
    expect(await reach('http://victim.example.com/', createTokenHeader('main'))).toBe('victim')
    expect(await reach('http://example.com/', createTokenHeader('acme'))).toBe('tenant_unresolved')
    expect(await reach('http://evil.com/', createTokenHeader('main'))).toBe('tenant_unresolved')
    expect(await reach('http://www.example.com/', createTokenHeader('main'))).toBe('tenant_unresolved')
    expect(requestedTenants).toEqual(['acme', 'victim'])
  })

  test('all must agree, the tenant set earlier included', async () => {
    const resolvers = [fromPath({ prefix: '/t' }), fromClaim()]
    const { reach } = setUp({ subdomainRouting, accessControl, resolvers }, 'acme')
    expect(await reach('http://acme.example.com/t/acme', createTokenHeader('acme'))).toBe('acme')
    expect(await reach('http://acme.example.com/t/acme', createTokenHeader('main'))).toBe('acme')
    expect(await reach('http://victim.example.com/', createTokenHeader('acme'))).toBe('tenant_ambiguous')
    expect(await reach('http://acme.example.com/t/victim', createTokenHeader('acme'))).toBe(
      'tenant_ambiguous',
    )
    expect(await reach('http://acme.example.com/', createTokenHeader('victim'))).toBe('tenant_ambiguous')
  })

  test('an empty list leaves only the tenant set earlier', async () => {
    expect(await setUp({ resolvers: [] }).reach('/', createTokenHeader('acme'))).toBe('tenant_unresolved')
    expect(await setUp({ resolvers: [] }, 'acme').reach('/', createTokenHeader('acme'))).toBe('acme')
  })

  test.each([[['x']], ['x'], [[undefined]]])('the list %j is refused', (resolvers) => {
    expect(() => setUp({ resolvers: resolvers as never })).toThrow(/resolvers/)
  })
})

describe('those refused', () => {
  const options: Partial<TenancyOptions> = {
    subdomainRouting: { baseDomain: 'example.com' },
    accessControl: { controlPlaneTenantId: 'main' },
  }
  const tenants = ['victim', 'late', 'unknown', 'main']

  test('cannot distinguish served, suspended and unknown tenants, and no database is opened', async () => {
    for (const headers of [
      {},
      createTokenHeader('acme'),
      createTokenHeader('unknown2'),
      { 'x-test-payload': '{}' },
    ]) {
      const { app, requestedTenants } = setUp(options)
      const answers = []
      for (const tenant of tenants) {
        answers.push(await seen(await app.request(`http://${tenant}.example.com/x`, { headers })))
      }
      for (const answer of answers) expect(answer).toEqual(answers[0])
      expect(answers[0]?.status).toBe('x-test-payload' in headers ? 404 : 401)
      expect(requestedTenants).toEqual([])
    }
  })

  test('get the answer of a tenant that is not there', async () => {
    const { app } = setUp(options)
    const refused = await app.request('http://victim.example.com/', { headers: createTokenHeader('acme') })
    const unknown = await app.request('http://unknown.example.com/', {
      headers: createTokenHeader('unknown'),
    })
    expect(await seen(refused)).toEqual(await seen(unknown))
  })

  test('get the same from authorize', async () => {
    const { app, requestedTenants } = setUp({ ...options, accessControl: { authorize: () => false } })
    const answers = await Promise.all(
      tenants.map(async (tenant) => seen(await app.request(`http://${tenant}.example.com/`))),
    )
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(requestedTenants).toEqual([])
  })
})

describe('behind hono/jwt', () => {
  const secret = 'a secret of these tests, long enough for HS256'
  const issuer = 'https://id.example.com/'
  const testDatabases = createTestDatabases(['acme', 'victim'])
  const app = new Hono()
    .use(jwt({ secret, alg: 'HS256' }))
    .use(
      createMultiTenancyMiddleware({
        databaseIsolation: testDatabases.databaseIsolation,
        subdomainRouting: { baseDomain: 'example.com' },
        accessControl: { controlPlaneTenantId: 'main', issuer },
      }),
    )
    .get('/', async (c) => c.text(await c.env.data.read()))
  const tokens: Record<string, string> = {}
  beforeAll(async () => {
    const exp = Math.floor(Date.now() / 1000) + 600
    tokens.acme = await sign({ tenant_id: 'acme', iss: issuer, exp }, secret)
    tokens.main = await sign({ org_id: 'main', iss: issuer, exp }, secret)
    tokens.foreign = await sign({ tenant_id: 'acme', iss: 'https://evil.com/', exp }, secret)
    tokens.forged = await sign({ tenant_id: 'acme', iss: issuer, exp }, 'another secret, of another length')
    tokens.expired = await sign({ tenant_id: 'acme', iss: issuer, exp: 1 }, secret)
    tokens.none = `${btoa('{"alg":"none","typ":"JWT"}')}.${btoa(`{"tenant_id":"acme","iss":"${issuer}"}`)}.`
  })
  const reach = (tenant: string, token: string) =>
    app.request(`http://${tenant}.example.com/`, { headers: { authorization: `Bearer ${tokens[token]}` } })

  test('a token of the tenant reads that tenant', async () => {
    const response = await reach('acme', 'acme')
    expect(await response.text()).toBe('notes of acme')
    expect(response.headers.get('cache-control')).toBe('private, no-store')
  })

  test('the control plane reaches across', async () => {
    expect(await (await reach('victim', 'main')).text()).toBe('notes of victim')
  })

  test.each([
    ['victim', 'acme', 404],
    ['acme', 'foreign', 401],
    ['acme', 'forged', 401],
    ['acme', 'expired', 401],
    ['acme', 'none', 401],
    ['main', 'acme', 404],
  ])('at %s the token %s is refused with %i', async (tenant, token, status) => {
    testDatabases.requestedTenants.length = 0
    expect((await reach(tenant, token)).status).toBe(status)
    expect(testDatabases.requestedTenants).toEqual([])
  })
})

import { Hono } from 'hono'
import { describe, expect, test, vi } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { createDatabaseMiddleware } from '../../src/request/database.ts'
import { createSubdomainMiddleware } from '../../src/request/subdomain.ts'
import { parseTenantId } from '../../src/tenant-id.ts'
import type { TenantFactory } from '../../src/types/tenant-factory.ts'
import { createTestDatabases, type Notes, ownerApp, readCode } from './test-databases.ts'

const setId = (id: unknown) => (app: Hono) =>
  app.use(async (c, next) => {
    c.set('tenant_id' as never, id as never)
    await next()
  })

function appFor(databaseIsolation: unknown, ...[id, options]: [id?: unknown, options?: object]): Hono {
  return ownerApp((app) => {
    setId(id)(app)
    app.use('*', createDatabaseMiddleware({ databaseIsolation: databaseIsolation as never, ...options }))
    app.get('/tenant', (c) => c.json((c.var as Record<string, unknown>).tenant))
  })
}

describe('createDatabaseMiddleware', () => {
  test('injects the adapters of the tenant an earlier middleware set', async () => {
    const testDatabases = createTestDatabases(['acme', 'victim'])
    const response = await appFor(testDatabases.databaseIsolation, 'acme').request('/')
    expect(await response.text()).toBe('acme')
    expect(testDatabases.requestedTenants).toEqual(['acme'])
  })

  test.each([
    [undefined, 'tenant_unresolved'],
    [null, 'tenant_unresolved'],
    ['', 'invalid_tenant_id'],
    ['ACME', 'invalid_tenant_id'],
    ['www', 'invalid_tenant_id'],
    [0, 'invalid_tenant_id'],
    [['acme'], 'invalid_tenant_id'],
    ['unknown', 'tenant_not_found'],
  ])('answers the tenant id %j with %s', async (id, code) => {
    expect(
      await readCode(await appFor(createTestDatabases(['acme']).databaseIsolation, id).request('/')),
    ).toBe(code)
  })

  test('serves a reserved id where the app reserves others', async () => {
    const { databaseIsolation } = createTestDatabases(['www'])
    const app = appFor(databaseIsolation, 'www', { reservedTenantIds: ['internal'] })
    expect(await (await app.request('/')).text()).toBe('www')
  })

  test.each([
    ['undefined', () => undefined],
    ['null', async () => null],
    ['a rejection', () => Promise.reject(new Error('ECONNREFUSED 10.0.0.7'))],
    ['a rejection with nothing', () => Promise.reject()],
    [
      'an exception',
      () => {
        throw 'no such host'
      },
    ],
  ])('fails closed and keeps its reasons to itself when getAdapters answers %s', async (_, getAdapters) => {
    const handler = vi.fn()
    const app = new Hono()
    setId('acme')(app)
    app.use(createDatabaseMiddleware({ databaseIsolation: { getAdapters } as never }))
    app.get('/', handler)
    const response = await app.request('/')
    expect(await response.clone().text()).not.toMatch(/10\.0\.0\.7|host/)
    expect(await readCode(response)).toBe('internal')
    expect(handler).not.toHaveBeenCalled()
  })

  test.each(['tenant_suspended', 'provider_unavailable', 'timeout', 'wrong_tenant'] as const)(
    'passes the error %s on',
    async (code) => {
      const getAdapters = () => Promise.reject(new TenancyError(code, 'because'))
      expect(await readCode(await appFor({ getAdapters }, 'acme').request('/'))).toBe(code)
    },
  )

  test('keeps the bindings in env without writing to env, and works without env', async () => {
    const { databaseIsolation } = createTestDatabases(['acme'])
    const app = new Hono()
    setId('acme')(app)
    app.use(createDatabaseMiddleware({ databaseIsolation }))
    app.get('/', (c) => c.json(Object.keys(c.env as object)))
    const env = Object.freeze({ KV: 1, data: 'the app had one' })
    expect(await (await app.request('/', {}, env)).json()).toEqual(['KV', 'data'])
    expect(env).toEqual({ KV: 1, data: 'the app had one' })
    const open = { KV: 1 }
    await app.request('/', {}, open)
    expect(open).toEqual({ KV: 1 })
    expect(await (await app.request('/')).json()).toEqual(['data'])
    expect(await (await app.fetch(new Request('http://x/'))).json()).toEqual(['data'])
  })

  test("opens a tenant through the factory's open, with its generation", async () => {
    const factory: TenantFactory<Notes> = {
      ...unused(),
      open: async (id) => ({
        id: parseTenantId(id),
        generation: 3,
        state: 'active',
        adapters: { owner: id, read: async () => id },
      }),
    }
    const app = appFor(factory, 'acme')
    expect(await (await app.request('/')).text()).toBe('acme')
    expect(await (await app.request('/tenant')).json()).toEqual({
      id: 'acme',
      state: 'active',
      generation: 3,
    })
  })

  test('refuses a factory that opens another tenant than asked', async () => {
    const open = async () => ({ id: 'victim', generation: 1, state: 'active', adapters: { owner: 'victim' } })
    expect(await readCode(await appFor({ ...unused(), open }, 'acme').request('/'))).toBe('wrong_tenant')
    expect(
      await readCode(await appFor({ ...unused(), open: async () => undefined }, 'acme').request('/')),
    ).toBe('wrong_tenant')
  })

  test('calls the members of an object as its methods', async () => {
    class Databases {
      #owner = 'mine'
      async getAdapters(id: string) {
        return { owner: `${this.#owner}: ${id}` }
      }
    }
    expect(await (await appFor(new Databases(), 'acme').request('/')).text()).toBe('mine: acme')
  })

  test.each([
    [undefined, 'databaseIsolation'],
    [null, 'databaseIsolation'],
    [() => {}, 'databaseIsolation'],
    [{}, 'databaseIsolation.getAdapters'],
    [{ getAdapters: 'x' }, 'databaseIsolation.getAdapters'],
    [{ getAdapters: async () => 1, onProvision: 'x' }, 'databaseIsolation.onProvision'],
  ])('refuses databaseIsolation %j', (databaseIsolation, option) => {
    expect(() => createDatabaseMiddleware({ databaseIsolation: databaseIsolation as never })).toThrow(
      expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining(`${option}:`) }),
    )
  })

  test('refuses an option that does not exist', () => {
    const { databaseIsolation } = createTestDatabases([])
    expect(() => createDatabaseMiddleware({ databaseIsolation, cacheHeader: false } as never)).toThrow(
      expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining('cacheHeader:') }),
    )
  })
})

describe('answers on tenant routes', () => {
  const { databaseIsolation } = createTestDatabases(['acme'])
  const readHeaders = async (answer: () => Response | Promise<Response>, options: object = {}) => {
    const app = new Hono()
    setId('acme')(app)
    app.use(createDatabaseMiddleware({ databaseIsolation, ...options }))
    app.get('/', answer)
    const response = await app.request('/')
    return { cache: response.headers.get('cache-control'), vary: response.headers.get('vary'), response }
  }

  test('are private and vary by host', async () => {
    expect(await readHeaders(() => new Response('x'))).toMatchObject({
      cache: 'private, no-store',
      vary: 'Host',
    })
  })

  test('keep what the handler set', async () => {
    const set = (vary: string) => () =>
      new Response('x', { headers: { 'cache-control': 'public, max-age=60', vary } })
    expect(await readHeaders(set('Accept-Encoding'))).toMatchObject({
      cache: 'public, max-age=60',
      vary: 'Accept-Encoding, Host',
    })
    expect(await readHeaders(set('accept, host'))).toMatchObject({ vary: 'accept, host' })
    expect(await readHeaders(set('*'))).toMatchObject({ vary: '*' })
    expect(await readHeaders(set('X-Forwarded-Host'))).toMatchObject({ vary: 'X-Forwarded-Host, Host' })
  })

  test('are so too when their headers cannot be changed', async () => {
    const { cache, vary, response } = await readHeaders(() => Response.redirect('http://x/', 303))
    expect({ cache, vary, status: response.status, to: response.headers.get('location') }).toEqual({
      cache: 'private, no-store',
      vary: 'Host',
      status: 303,
      to: 'http://x/',
    })
  })

  test('are so too when the handler throws or there is none', async () => {
    const app = new Hono().onError((_, c) => c.text('sorry', 500))
    setId('acme')(app)
    app.use(createDatabaseMiddleware({ databaseIsolation }))
    app.get('/throws', () => {
      throw new Error('a bug')
    })
    for (const path of ['/throws', '/nowhere']) {
      const { headers } = await app.request(path)
      expect(headers.get('cache-control')).toBe('private, no-store')
    }
  })

  test('are left alone when asked', async () => {
    expect(await readHeaders(() => new Response('x'), { cacheHeaders: false })).toMatchObject({
      cache: null,
      vary: null,
    })
  })
})

describe('createSubdomainMiddleware', () => {
  const app = new Hono<{ Variables: { tenant_id: string | undefined } }>()
  app.use('/preset/*', async (c, next) => {
    c.set('tenant_id', 'acme')
    await next()
  })
  app.use(createSubdomainMiddleware({ subdomainRouting: { baseDomain: 'example.com' } }))
  app.get('*', (c) => c.text(c.var.tenant_id ?? 'no tenant'))

  test.each([
    ['http://acme.example.com/', 'acme'],
    ['http://example.com/', 'no tenant'],
    ['http://www.example.com/', 'no tenant'],
    ['http://evil.com/', 'no tenant'],
    ['http://evil.com/preset/', 'acme'],
    ['http://acme.example.com/preset/', 'acme'],
  ])('finds at %s: %s', async (url, expected) => {
    expect(await (await app.request(url)).text()).toBe(expected)
  })

  test('rejects a host that is not a valid id or contradicts an earlier tenant', async () => {
    expect(await readCode(await app.request('http://a_b.example.com/'))).toBe('invalid_tenant_id')
    expect(await readCode(await app.request('http://victim.example.com/preset/'))).toBe('tenant_ambiguous')
  })

  test('needs its options', () => {
    expect(() => createSubdomainMiddleware({})).toThrow(/subdomainRouting/)
    expect(() => createSubdomainMiddleware({ subdomainRouting: {} as never })).toThrow(
      /subdomainRouting\.baseDomain/,
    )
  })
})

function unused(): TenantFactory<Notes> {
  const never = () => Promise.reject(new Error('not to be called'))
  return {
    getAdapters: never,
    provision: never,
    deprovision: never,
    open: never,
    migrate: never,
    release: () => {},
    reportError: () => {},
    close: never,
  }
}

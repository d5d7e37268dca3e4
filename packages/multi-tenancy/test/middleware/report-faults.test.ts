import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { createMemoryProvider } from '../../src/memory/index.ts'
import { setupMultiTenancy } from '../../src/setup.ts'
import type { OnError } from '../../src/types/error-report.ts'

const accessControl = { authorize: () => true, authorizeControlPlane: () => true }
const resolvers = [() => 'acme']

let lines: Record<string, unknown>[]
beforeEach(() => {
  lines = []
  vi.spyOn(console, 'error').mockImplementation((line: string) => void lines.push(JSON.parse(line)))
})
afterEach(() => vi.restoreAllMocks())

async function request(
  createAdapters: () => object,
  options: { onError?: OnError; factoryOnError?: OnError; handler?: () => never } = {},
): Promise<Response> {
  const { onError, factoryOnError, handler } = options
  const databaseIsolation = defineFactory(createMemoryProvider(), {
    createAdapters,
    ...(factoryOnError && { onError: factoryOnError }),
  })
  await databaseIsolation.provision('acme')
  const { middleware } = setupMultiTenancy({
    ...{ databaseIsolation, accessControl, resolvers },
    ...(onError && { onError }),
  })
  const app = new Hono()
  app.use(middleware)
  app.get('/', handler ?? ((c) => c.text('served')))
  return app.request('/')
}

describe('a server fault in a request', () => {
  const broken = () => {
    throw new Error('connect to mysql://root:hunter2@db failed', {
      cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED', password: 'hunter2' }),
    })
  }

  test('is logged once, with code, tenant, operation, cause and place, without secrets', async () => {
    expect((await request(broken)).status).toBe(500)
    expect(lines).toEqual([
      {
        level: 'error',
        message: expect.stringMatching(/^\[internal\] tenant "acme": createAdapters: connect to mysql:/),
        code: 'internal',
        tenant: 'acme',
        operation: 'open',
        step: 'open',
        cause: expect.stringContaining('caused by Error: refused (ECONNREFUSED)'),
        stack: expect.stringContaining('report-faults.test.ts'),
      },
    ])
    expect(JSON.stringify(lines)).not.toContain('hunter2')
  })

  test("goes to the factory's onError in place of the log, or to the middleware's own", async () => {
    const seen: unknown[] = []
    const onError: OnError = (error, context) => void seen.push([error.code, context])
    const context = { operation: 'open', tenantId: 'acme' }
    await request(broken, { factoryOnError: onError })
    expect(seen).toEqual([['internal', context]])
    const factoryOnError: OnError = () => void seen.push('of the factory')
    await request(broken, { onError, factoryOnError })
    expect(seen).toEqual([
      ['internal', context],
      ['internal', context],
    ])
    expect(lines).toEqual([])
  })

  test('that a handler runs into is reported where it is an error of ours', async () => {
    const response = await request(() => ({}), {
      handler: () => {
        throw new TenancyError('pool_exhausted', 'full', { retryAfter: 3 })
      },
    })
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '3'])
    expect(lines).toEqual([
      expect.objectContaining({ code: 'pool_exhausted', operation: 'request', tenant: 'acme' }),
    ])
  })

  test.each(['tenant_suspended', 'tenant_not_ready', 'statement_refused', 'conflict'] as const)(
    'is none where a handler throws %s',
    async (code) => {
      await request(() => ({}), {
        handler: () => {
          throw new TenancyError(code, 'as it should be')
        },
      })
      expect(lines).toEqual([])
    },
  )

  test('is logged, together with the failure of the hook, where the hook fails', async () => {
    const response = await request(broken, {
      onError: async () => {
        throw new Error('no log server')
      },
    })
    expect(response.status).toBe(500)
    await vi.waitFor(() => expect(lines).toHaveLength(2))
    expect(lines.map(({ code, operation }) => [code, operation])).toEqual([
      ['internal', 'onError'],
      ['internal', 'open'],
    ])
  })
})

describe('a server fault outside of requests', () => {
  test('is reported once when provision fails, also through the tenants API', async () => {
    const provider = { ...createMemoryProvider(), create: () => Promise.reject(new Error('disk on fire')) }
    const factory = defineFactory(provider)
    await expect(factory.provision('acme')).rejects.toMatchObject({ code: 'provider_rejected' })
    expect(lines).toEqual([
      expect.objectContaining({ operation: 'provision', tenant: 'acme', step: 'create' }),
    ])
    const { app } = setupMultiTenancy({ databaseIsolation: factory, accessControl })
    const response = await app.request('/', {
      method: 'POST',
      body: '{"id":"acme"}',
      headers: { 'content-type': 'application/json' },
    })
    expect(response.status).toBe(502)
    expect(lines).toHaveLength(2)
  })

  test('is reported by a provider that no caller waits for', () => {
    let report = (_: unknown): void => {}
    defineFactory((host) => {
      report = (cause) => host.reportError(cause, { operation: 'connection' })
      return createMemoryProvider()
    })
    report(new TenancyError('provider_unavailable', 'The server closed an idle connection'))
    expect(lines).toEqual([
      expect.objectContaining({ code: 'provider_unavailable', operation: 'connection' }),
    ])
  })
})

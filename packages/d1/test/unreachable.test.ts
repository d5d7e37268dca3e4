import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { setupMultiTenancy } from '@tenantry/multi-tenancy'
import { captureError, findFreePort, startHttpServer } from '@tenantry/test-support'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createD1Factory } from '../src/index.ts'

const ACCOUNT = { accountId: 'a'.repeat(32), apiToken: 'an-api-token' }

describe('provision fails', () => {
  test('within seconds when the API refuses connections', { timeout: 20_000 }, async () => {
    const baseUrl = `http://127.0.0.1:${await findFreePort()}`
    const error = await captureError(createD1Factory({ ...ACCOUNT, baseUrl }).provision('acme'))
    expect(error.code).toBe('provider_unavailable')
    expect(error.message).toContain('ECONNREFUSED')
  })

  test('after one create and one look-up when the host name of the API does not resolve', async () => {
    const methods: unknown[] = []
    const fetch = async (_: unknown, init?: RequestInit): Promise<Response> => {
      methods.push(init?.method)
      const cause = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
      throw new TypeError('fetch failed', { cause })
    }
    const error = await captureError(createD1Factory({ ...ACCOUNT, fetch }).provision('acme'))
    expect(error.code).toBe('provider_unavailable')
    expect(error.message).toContain('ENOTFOUND')
    expect(methods.map(String).map((method) => method.toUpperCase())).toEqual(['POST', 'GET'])
  })

  test.each([401, 403])(
    'on the first request when the API rejects the token with status %i',
    async (status) => {
      let requests = 0
      const server = await startHttpServer((_, response) => {
        requests++
        response.writeHead(status, { 'content-type': 'application/json' })
        response.end(
          JSON.stringify({ success: false, errors: [{ code: 10_000, message: 'Authentication error' }] }),
        )
      })
      const factory = createD1Factory({ ...ACCOUNT, baseUrl: server.url })
      const error = await captureError(factory.provision('acme'))
      expect(error.code).toBe('credentials_rejected')
      expect(error.message).toContain('Authentication error')
      expect(requests).toBe(1)
      await server.close()
    },
  )
})

describe('a handler that destroys its adapters', () => {
  let emulator: CloudflareEmulator
  beforeAll(async () => {
    emulator = await startCloudflareEmulator()
  })
  afterAll(() => emulator?.close())

  test('fails alone: the next request is served', async () => {
    const { accountId, apiToken, fetch } = emulator
    const factory = createD1Factory({
      ...{ accountId, apiToken, fetch },
      migrations: { '001': 'CREATE TABLE notes (n INTEGER)' },
    })
    await factory.provision('acme')
    const { middleware } = setupMultiTenancy({
      databaseIsolation: factory,
      subdomainRouting: { baseDomain: 'example.com' },
      accessControl: { authorize: () => true },
    })
    const app = new Hono()
      .use(middleware)
      .get('/notes', async (c) => c.json(await c.env.data.db.selectFrom('notes').selectAll().execute()))
      .get('/destroy', async (c) => {
        await c.env.data.db.destroy()
        return c.text('destroyed')
      })
    const get = async (path: string) => (await app.request(`http://acme.example.com${path}`)).status
    expect(await get('/notes')).toBe(200)
    expect(await get('/destroy')).toBe(200)
    expect(await get('/notes')).toBe(200)
  })
})

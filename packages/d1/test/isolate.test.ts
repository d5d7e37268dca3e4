import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { createGate, type Gate, type HttpServer, startHttpServer } from '@tenantry/test-support'
import { build } from 'esbuild'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NAMESPACE, SECRET } from './harness.ts'

const TENANTS = Array.from({ length: 20 }, (_, index) => `t-${index}`)
const REQUESTS = 200
let emulator: CloudflareEmulator
let worker: Miniflare
let gates: HttpServer
let port = ''
let code = ''

beforeAll(async () => {
  emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
  gates = await startGateServer()
  const { outputFiles } = await build({
    entryPoints: [new URL('isolate-worker.ts', import.meta.url).pathname],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['workerd', 'worker', 'browser'],
  })
  code = outputFiles[0]?.text ?? ''
  const bindings = TENANTS.map((id) => `DB_BINDING_${id.replaceAll('-', '__').toUpperCase()}`)
  worker = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: code,
      compatibilityDate: '2026-04-01',
      d1Databases: Object.fromEntries(bindings.map((name) => [name, name])),
      bindings: {
        ...{ ACCOUNT_ID: emulator.accountId, API_TOKEN: emulator.apiToken, EMULATOR: emulator.url },
        ...{ NAMESPACE, SECRET, GATES: gates.url },
      },
    }),
  )
  port = (await worker.ready).port
})
afterAll(async () => {
  await worker?.dispose()
  await gates?.close()
  await emulator?.close()
})

/** Answers each request to a path when all concurrent requests of a test have arrived there. */
function startGateServer(): Promise<HttpServer> {
  const points = new Map<string, { readonly gate: Gate; arrived: number }>()
  return startHttpServer(async ({ url = '' }, response) => {
    const point = points.get(url) ?? { gate: createGate(), arrived: 0 }
    points.set(url, point)
    if (++point.arrived === REQUESTS) point.gate.open()
    await point.gate.opened
    response.end()
  })
}

/** Over a socket, so that URL and Host agree as they do at the edge. */
async function sendRequest(
  access: string,
  tenant: string,
  path: string,
  method = 'GET',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${tenant}.example.com`, 'x-access': access }
    const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject)
    })
    sent.once('error', reject).end()
  })
}

/** Sends concurrent requests of all tenants and returns, for each, the tenant and the response. */
async function sendInterleaved(access: string, path: string): Promise<[tenant: string, body: string][]> {
  return Promise.all(
    Array.from({ length: REQUESTS }, async (_, index): Promise<[string, string]> => {
      const tenant = String(TENANTS[index % TENANTS.length])
      const { status, body } = await sendRequest(access, tenant, path)
      // The other requests wait at a gate for one that failed.
      if (status !== 200) throw new Error(`${tenant}: ${status} ${body}`)
      return [tenant, body]
    }),
  )
}

test('the Worker uses nothing of Node', () => {
  expect(code).not.toMatch(/["']node:/)
  expect(code.length).toBeGreaterThan(50_000)
})

const timeout = 120_000

describe.each(['binding', 'dispatch', 'rest'])('in one workerd isolate, by %s', (access) => {
  beforeAll(async () => {
    emulator.requests.length = 0
    const responses = await Promise.all(TENANTS.map((id) => sendRequest(access, id, '/provision', 'POST')))
    expect(responses.map(({ status, body }) => `${status} ${body}`)).toEqual(TENANTS.map(() => '204 '))
  }, timeout)

  test('200 interleaved requests of 20 tenants each read their own database', { timeout }, async () => {
    for (const [tenant, body] of await sendInterleaved(access, '/')) {
      expect(body).toBe(JSON.stringify([tenant, tenant]))
    }
    const operations = emulator.requests.map(({ operation }) => operation)
    expect(operations).toContain('databases.create')
    expect(operations.includes('databases.query')).toBe(access === 'rest')
    expect(operations.includes('dispatch')).toBe(access === 'dispatch')
  })
})

test('adapters on the shared env cross, so the tests above can fail', { timeout }, async () => {
  const responses = await sendInterleaved('binding', '/naive')
  const crossed = responses.filter(([tenant, body]) => body !== JSON.stringify([tenant, tenant]))
  // All requests set `env.data` before any of them reads: the last one's tenant is read by all.
  expect(crossed).toHaveLength(REQUESTS - REQUESTS / TENANTS.length)
})

import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { build } from 'esbuild'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NAMESPACE, SECRET } from './harness.ts'

const TENANTS = Array.from({ length: 20 }, (_, at) => `t-${at}`)
let emulator: CloudflareEmulator
let worker: Miniflare
let port = ''
let code = ''

beforeAll(async () => {
  emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
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
        ...{ NAMESPACE, SECRET },
      },
    }),
  )
  port = (await worker.ready).port
})
afterAll(async () => {
  await worker?.dispose()
  await emulator?.close()
})

/** Over a socket, so that URL and Host agree as they do at the edge. */
async function ask(
  way: string,
  tenant: string,
  path: string,
  method = 'GET',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${tenant}.example.com`, 'x-way': way }
    const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject)
    })
    sent.once('error', reject).end()
  })
}

/** 200 requests of 20 tenants at once, each told how often to give way to the others. */
async function interleaved(way: string, path: string): Promise<[expected: string, answer: string][]> {
  return Promise.all(
    Array.from({ length: 200 }, async (_, index): Promise<[string, string]> => {
      const tenant = String(TENANTS[(index * 7) % TENANTS.length])
      return [tenant, (await ask(way, tenant, `${path}?turns=${(index * 13) % 5}`)).body]
    }),
  )
}

test('the Worker needs nothing of Node', () => {
  expect(code).not.toMatch(/["']node:/)
  expect(code.length).toBeGreaterThan(50_000)
})

describe.each(['binding', 'dispatch', 'rest'])('one workerd isolate, by %s', { timeout: 60_000 }, (way) => {
  beforeAll(async () => {
    const answers = await Promise.all(TENANTS.map((id) => ask(way, id, '/provision', 'POST')))
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(TENANTS.map(() => '204 '))
  })

  test('200 interleaved requests of 20 tenants each read their own database', async () => {
    for (const [tenant, answer] of await interleaved(way, '/')) {
      expect(answer).toBe(JSON.stringify([tenant, tenant]))
    }
  })

  test('the way was the one that was asked for', () => {
    const seen = emulator.requests.splice(0).map(({ operation }) => operation)
    expect(seen.includes('databases.query')).toBe(way === 'rest')
    expect(seen.includes('dispatch')).toBe(way === 'dispatch')
    expect(seen).toContain('databases.create')
  })
})

test('would cross if adapters stood on the shared env, so the tests above can fail', async () => {
  const answers = await interleaved('binding', '/naive')
  const crossed = answers.filter(([tenant, answer]) => answer !== JSON.stringify([tenant, tenant]))
  expect(crossed.length).toBeGreaterThan(0)
}, 60_000)

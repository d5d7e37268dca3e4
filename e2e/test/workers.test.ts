import { join } from 'node:path'
import { startTursoEmulator, type TursoEmulator } from '@tenantry/emulators'
import { createTursoFactory } from '@tenantry/turso'
import { build } from 'esbuild'
import type { Kysely } from 'kysely'
import { convertV4MiniflareOptions, Miniflare, Response as WorkerdResponse } from 'miniflare'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { requestTenant } from '../src/request-tenant.ts'

const TENANTS = Array.from({ length: 20 }, (_, index) => `tenant-${index}`)
const root = new URL('../../', import.meta.url).pathname
let emulator: TursoEmulator
let worker: Miniflare

/** Seeds by tenant, so that a wrong database answers with a wrong name. */
async function provisionAll(): Promise<void> {
  const factory = createTursoFactory<{ db: Kysely<any> }>({
    organizationName: emulator.organization,
    apiToken: emulator.apiToken,
    fetch: emulator.fetch,
    migrations: { '001_marker': 'CREATE TABLE marker (tenant TEXT NOT NULL, hits INTEGER NOT NULL)' },
    seed: async ({ db }, { id }) => {
      await db.insertInto('marker').values({ tenant: id, hits: 0 }).execute()
    },
  })
  await Promise.all(TENANTS.map((id) => factory.provision(id)))
  await factory.close()
}

beforeAll(async () => {
  emulator = await startTursoEmulator()
  await provisionAll()
  const { outputFiles } = await build({
    entryPoints: [join(root, 'e2e/src/isolate-worker.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['workerd', 'worker', 'browser'],
  })
  const options = convertV4MiniflareOptions({
    modules: true,
    script: outputFiles[0]?.text ?? '',
    compatibilityDate: '2026-04-01',
    bindings: { ORGANIZATION: emulator.organization, TOKEN: emulator.apiToken },
    // The Worker asks for Turso's own hosts; the emulator answers for those and refuses every other.
    async outboundService({ url, method, headers, body }) {
      const sent = method === 'GET' ? null : await new Response(body as ReadableStream | null).arrayBuffer()
      const answer = await emulator.fetch(url, { method, headers: [...headers], body: sent })
      return new WorkerdResponse(await answer.arrayBuffer(), {
        status: answer.status,
        headers: [...answer.headers],
      })
    },
  })
  worker = new Miniflare(options)
  await worker.ready
})
afterAll(async () => {
  await worker?.dispose()
  await emulator?.close()
})

/** Over a socket, so that URL and Host agree as they do at the edge: `dispatchFetch` leaves Host workerd's own. */
async function dispatch(
  tenant: string,
  path: string,
  method = 'GET',
): Promise<{ status: number; body: string }> {
  const { port } = await worker.ready
  return requestTenant({ port, host: `${tenant}.example.com`, path, method })
}

/** 200 concurrent requests of 20 tenants. Each yields to the others a given number of times. */
async function interleaved(path: string): Promise<[expected: string, answer: string][]> {
  const requests = Array.from({ length: 200 }, (_, index) => ({
    tenant: String(TENANTS[(index * 7) % TENANTS.length]),
    turns: (index * 13) % 5,
  }))
  return Promise.all(
    requests.map(async ({ tenant, turns }) => {
      const { body } = await dispatch(tenant, `${path}?turns=${turns}`)
      return [tenant, body] as [string, string]
    }),
  )
}

describe('one workerd isolate', () => {
  test('200 interleaved requests of 20 tenants each read their own database', async () => {
    for (const [tenant, answer] of await interleaved('/'))
      expect(answer).toBe(JSON.stringify([tenant, tenant]))
  })

  test('a stream that is still written after the handler returned keeps its tenant', async () => {
    for (const [tenant, answer] of await interleaved('/stream')) expect(answer).toBe(`${tenant}\n`.repeat(3))
  })

  test('work handed to waitUntil keeps its tenant', async () => {
    await Promise.all(
      TENANTS.map(async (tenant, index) => {
        for (let hit = 0; hit <= index % 4; hit++) {
          const response = await dispatch(tenant, '/later?turns=2', 'POST')
          expect(response.status).toBe(202)
        }
      }),
    )
    await expect
      .poll(async () =>
        Promise.all(
          TENANTS.map(async (tenant) => {
            const [row] = await emulator.oracle.execute(`tenant-${tenant}`, 'SELECT tenant, hits FROM marker')
            return `${row?.tenant} ${row?.hits}`
          }),
        ),
      )
      .toEqual(TENANTS.map((tenant, index) => `${tenant} ${(index % 4) + 1}`))
  })

  test('would cross if adapters stood on the shared env, so the test above can fail', async () => {
    const crossed = (await interleaved('/naive')).filter(
      ([tenant, answer]) => answer !== JSON.stringify([tenant, tenant]),
    )
    expect(crossed.length).toBeGreaterThan(0)
  })

  test('sends requests only to Turso, and no database receives the platform token', () => {
    const { requests } = emulator
    expect(requests.filter(({ plane }) => plane === 'data').length).toBeGreaterThan(1_000)
    expect(requests.filter(({ plane }) => plane === 'foreign')).toEqual([])
    // A database refuses the platform token.
    expect(requests.filter(({ status }) => status === 401 || status === 403)).toEqual([])
  })
})

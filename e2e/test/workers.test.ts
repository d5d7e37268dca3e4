import { join } from 'node:path'
import { startTursoEmulator, type TursoEmulator } from '@tenantry/emulators'
import { createTursoFactory } from '@tenantry/turso'
import { build } from 'esbuild'
import type { Kysely } from 'kysely'
import { Miniflare } from 'miniflare'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

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
  worker = new Miniflare({
    modules: true,
    script: outputFiles[0]?.text ?? '',
    compatibilityDate: '2026-04-01',
    bindings: { EMULATOR: emulator.url, ORGANIZATION: emulator.organization, TOKEN: emulator.apiToken },
  })
  await worker.ready
})
afterAll(async () => {
  await worker?.dispose()
  await emulator?.close()
})

/** 200 requests of 20 tenants at once, each told how often to give way to the others. */
async function interleaved(path: string): Promise<[expected: string, answer: string][]> {
  const requests = Array.from({ length: 200 }, (_, index) => ({
    tenant: String(TENANTS[(index * 7) % TENANTS.length]),
    turns: (index * 13) % 5,
  }))
  return Promise.all(
    requests.map(async ({ tenant, turns }) => {
      const response = await worker.dispatchFetch(`http://${tenant}.example.com${path}?turns=${turns}`)
      return [tenant, await response.text()] as [string, string]
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
          const response = await worker.dispatchFetch(`http://${tenant}.example.com/later?turns=2`, {
            method: 'POST',
          })
          expect(response.status).toBe(202)
        }
      }),
    )
    await expect
      .poll(async () =>
        Promise.all(
          TENANTS.map(async (tenant) => {
            const [row] = await emulator.oracle.query(`tenant-${tenant}`, 'SELECT tenant, hits FROM marker')
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

  test('no request left the emulator, and none showed a database the platform token', () => {
    expect(emulator.requests.filter(({ foreign }) => foreign)).toEqual([])
  })
})

import { neverAborted } from '@tenantry/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connectClient, createDatabase, type TestDatabase } from './database.ts'
import { createProvider, type Provider, verify } from './support.ts'

const BUDGET = 40
let database: TestDatabase
let provider: Provider | undefined
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(async () => {
  await provider?.close()
  await database?.drop()
}, 60_000)

it.each([
  ['set_role', 5_000, 15_000, 120],
  // A login takes the server milliseconds, and nearly each query needs one, so fewer queries run concurrently.
  ['role', 400, 1_500, 60],
] as const)(
  '%s: serves %d tenants (Zipf) on at most 40 connections, rejects no query and starves no tenant',
  async (isolation, tenants, queries, concurrency) => {
    const served = createProvider(database, {
      isolation,
      maxConnections: BUDGET,
      maxConnectionsPerTenant: 8,
      // A query that waits longer is rejected, and its error fails this test.
      queueTimeout: 15_000,
    })
    provider = served
    const clients = await inGroups(tenants, 8, async (at) => {
      const { locator } = await served.create(`${isolation}_fleet_${at}`, neverAborted)
      return served.connect({ locator, purpose: 'manage', verify }, neverAborted)
    })
    const watcher = await connectClient(database.url)
    let peak = 0
    let watching = true
    const watch = (async () => {
      while (watching) {
        const { rows } = await watcher.query(
          "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name <> 'the test' AND backend_type = 'client backend'",
        )
        peak = Math.max(peak, rows[0].n)
      }
    })()
    const zipf = createZipf(tenants)
    const used = new Set<number>()
    let slowest = 0
    await inGroups(queries, concurrency, async () => {
      const at = zipf()
      used.add(at)
      const began = performance.now()
      const rows = await clients[at]?.query('SELECT current_schema() AS schema, $1::int AS at', [at])
      slowest = Math.max(slowest, performance.now() - began)
      if (rows?.rows[0].schema !== `${isolation}_fleet_${at}` || rows?.rows[0].at !== at)
        throw new Error('crossed')
    })
    watching = false
    await watch
    await watcher.end()
    console.log(
      `${isolation}: ${queries} queries of ${used.size} tenants, peak ${peak} connections, slowest ${slowest.toFixed(0)} ms`,
    )
    expect(peak).toBeLessThanOrEqual(BUDGET)
    await served.close()
  },
  120_000,
)

/** Tenant numbers by Zipf's law (s = 1), from a seed. */
function createZipf(count: number): () => number {
  const weights = Array.from({ length: count }, (_, at) => 1 / (at + 1))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  let seed = 42
  return () => {
    seed = (seed * 16807) % 2147483647
    let left = (seed / 2147483647) * total
    for (let at = 0; at < count; at++) {
      left -= weights[at] ?? 0
      if (left <= 0) return at
    }
    return count - 1
  }
}

async function inGroups<Value>(
  count: number,
  size: number,
  work: (at: number) => Promise<Value>,
): Promise<Value[]> {
  const results: Value[] = []
  let next = 0
  await Promise.all(
    Array.from({ length: size }, async () => {
      for (let at = next++; at < count; at = next++) results[at] = await work(at)
    }),
  )
  return results
}

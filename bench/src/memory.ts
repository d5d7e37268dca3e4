import { createMemoryFactory, createMemoryServer } from '@tenantry/multi-tenancy/memory'
import { report } from './ratio.ts'

const COUNT = 2_000

function heap(): number {
  for (let turn = 0; turn < 4; turn++) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

/** Heap bytes of a cached idle tenant beyond its adapters, against an entry of a bare Map. */
export async function memoryPerTenant(): Promise<void> {
  if (globalThis.gc === undefined) throw new Error('run with node --expose-gc')
  const server = createMemoryServer()
  const ids = Array.from({ length: COUNT }, (_, index) => `tenant-${index}`)
  const seeding = createMemoryFactory({ server })
  for (const id of ids) await seeding.provision(id)
  const factory = createMemoryFactory({ server, cache: { max: COUNT, locatorMax: COUNT } })
  // Everything lazy is set up before counting.
  await factory.getAdapters(String(ids[0]))

  const before = heap()
  for (const id of ids) await factory.getAdapters(id)
  const ours = (heap() - before) / COUNT

  const map = new Map<string, unknown>()
  const start = heap()
  for (const id of ids) map.set(id, { db: server.get(`tenant_${id}`) })
  const bare = (heap() - start) / COUNT
  const detail = `${(ours / 1024).toFixed(2)} KB, a bare Map entry ${(bare / 1024).toFixed(2)} KB (${map.size} tenants)`
  report('memory of a cached idle tenant, KB', ours / 1024, '≤ 5', detail)
  await factory.getAdapters(String(ids.at(-1)))
}

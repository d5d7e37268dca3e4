import type { TenantProvider } from '@tenantry/multi-tenancy'
import type { MemoryClient } from '@tenantry/multi-tenancy/memory'
import type { Harness } from '../src/index.ts'
import type { Provider } from './broken/broken-provider.ts'

/** Creates a harness with pooled connections over the in-memory provider. */
export function createPooledHarness(base: Harness<MemoryClient>, careless: boolean): Harness<PooledClient> {
  const open: Connection[] = []
  const pooled = ({
    beforeMigrate: _,
    batchWithoutForeignKeys,
    ...provider
  }: Provider): TenantProvider<PooledClient> => {
    const pool = {}
    return {
      ...provider,
      async connect(target, options) {
        const inner = await provider.connect(target, options)
        const idle: Connection[] = []
        let opened = 0
        const lease = async <Value>(work: () => Promise<Value>): Promise<Value> => {
          const connection = idle.pop() ?? { name: String(target.locator.name), pool }
          if (!open.includes(connection)) {
            if (opened++ === 0 || !careless)
              await target.verify((statement) => provider.query(inner, statement))
            open.push(connection)
          }
          try {
            return await work()
          } finally {
            idle.push(connection)
          }
        }
        await lease(async () => {})
        return { inner, lease }
      },
      query: (client, statement) => client.lease(() => provider.query(client.inner, statement)),
      batch: (client, statements) => client.lease(() => provider.batch(client.inner, statements)),
      ...(batchWithoutForeignKeys && {
        batchWithoutForeignKeys: (client, statements) =>
          client.lease(() => batchWithoutForeignKeys(client.inner, statements)),
      }),
      kysely: (client) => provider.kysely(client.inner),
      async drop(locator, options) {
        await provider.drop(locator, options)
        remove((each) => each.name === locator.name)
      },
      async close() {
        remove((each) => each.pool === pool)
      },
    }
  }
  function remove(which: (each: Connection) => boolean): void {
    open.splice(0, open.length, ...open.filter((each) => !which(each)))
  }
  return {
    ...base,
    provider: pooled(base.provider),
    createProvider: () => pooled(base.createProvider()),
    countConnections: async (name) => open.filter((each) => name === undefined || each.name === name).length,
  }
}

interface Connection {
  readonly name: string
  /** Of which provider. */
  readonly pool: object
}

export interface PooledClient {
  readonly inner: MemoryClient
  lease<Value>(work: () => Promise<Value>): Promise<Value>
}

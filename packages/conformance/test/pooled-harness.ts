import type { MemoryClient } from '@tenantry/multi-tenancy/memory'
import { TenancyError, type TenantProvider } from '@tenantry/multi-tenancy/provider'
import type { Harness } from '../src/index.ts'
import type { Provider } from './broken/broken-provider.ts'

const VERIFY = 'verifies every physical connection before its first other use'

export type PoolMistake =
  | 'no connection is verified'
  | 'only the first connection is verified'
  | 'a failed use keeps its connection'

/** Mistakes with physical connections, and the case that must fail. */
export const POOL_MISTAKES: readonly (readonly [PoolMistake, string])[] = [
  ['no connection is verified', VERIFY],
  ['only the first connection is verified', VERIFY],
  [
    'a failed use keeps its connection',
    'returns every connection to its pool after a failed statement, batch or transaction',
  ],
]

const MAX_CONNECTIONS = 8

/** Creates a harness with pooled connections over the in-memory provider. */
export function createPooledHarness(
  base: Harness<MemoryClient>,
  mistake?: PoolMistake,
): Harness<PooledClient> {
  const open: Connection[] = []

  function createPooledProvider({
    beforeMigrate: _,
    batchWithoutForeignKeys,
    ...provider
  }: Provider): TenantProvider<PooledClient> {
    const pool = {}
    return {
      ...provider,
      async connect(target, options) {
        const inner = await provider.connect(target, options)
        const idle: Connection[] = []
        let opened = 0

        async function openConnection(): Promise<Connection> {
          if (opened >= MAX_CONNECTIONS) throw new TenancyError('pool_exhausted', 'No connection is free')
          const isVerified =
            mistake !== 'no connection is verified' &&
            (opened === 0 || mistake !== 'only the first connection is verified')
          opened++
          if (isVerified) await target.verify((statement) => provider.query(inner, statement))
          const connection = { name: String(target.locator.name), pool }
          open.push(connection)
          return connection
        }
        async function lease<Value>(work: () => Promise<Value>): Promise<Value> {
          const connection = idle.pop() ?? (await openConnection())
          try {
            const value = await work()
            idle.push(connection)
            return value
          } catch (error) {
            if (mistake !== 'a failed use keeps its connection') idle.push(connection)
            throw error
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
        closeConnections(({ name }) => name === locator.name)
      },
      async close() {
        closeConnections((connection) => connection.pool === pool)
      },
    }
  }

  function closeConnections(isClosed: (connection: Connection) => boolean): void {
    open.splice(0, open.length, ...open.filter((connection) => !isClosed(connection)))
  }

  return {
    ...base,
    provider: createPooledProvider(base.provider),
    createProvider: () => createPooledProvider(base.createProvider()),
    connectionLimit: MAX_CONNECTIONS,
    countConnections: async (name) =>
      open.filter((connection) => name === undefined || connection.name === name).length,
  }
}

interface Connection {
  readonly name: string
  /** Identifies the provider. */
  readonly pool: object
}

export interface PooledClient {
  readonly inner: MemoryClient
  lease<Value>(work: () => Promise<Value>): Promise<Value>
}

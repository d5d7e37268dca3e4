import {
  createMemoryProvider,
  createMemoryServer,
  type MemoryClient,
  type MemoryServer,
} from '@tenantry/multi-tenancy/memory'
import { CompiledQuery } from 'kysely'
import type { Harness } from '../src/index.ts'

/** Creates a harness for the in-memory provider. Its oracle reads the map of databases. */
export function createMemoryHarness(): Harness<MemoryClient> & { readonly server: MemoryServer } {
  const server = createMemoryServer()
  const database = (name: string): MemoryClient => {
    const client = server.get(name)
    if (client === undefined) throw new Error(`The oracle finds no database ${name}`)
    return client
  }
  return {
    server,
    provider: createMemoryProvider(server),
    createProvider: () => createMemoryProvider(server),
    oracle: {
      listDatabases: async (prefix) => [...server.keys()].filter((name) => name.startsWith(prefix)),
      query: async (name, sql) => (await database(name).executeQuery<any>(CompiledQuery.raw(sql))).rows,
      execute: async (name, sql) => void (await database(name).executeQuery(CompiledQuery.raw(sql))),
    },
    cleanup: async () => server.clear(),
  }
}

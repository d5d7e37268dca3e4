import { testProvider } from '@tenantry/conformance'
import { CompiledQuery } from 'kysely'
import { createMemoryProvider, createMemoryServer, type MemoryClient } from '../src/index.ts'

// The oracle reads the databases without the provider, here directly from the map: for a service of yours use its
// driver, its command line or its files, and share no code with src/.
testProvider('PROVIDER_NAME', () => {
  const server = createMemoryServer()
  const database = (name: string): MemoryClient => {
    const client = server.get(name)
    if (client === undefined) throw new Error(`There is no database ${name}`)
    return client
  }
  return {
    provider: createMemoryProvider(server),
    createProvider: () => createMemoryProvider(server),
    oracle: {
      listDatabases: async (prefix) => [...server.keys()].filter((name) => name.startsWith(prefix)),
      query: async (name, sql) => (await database(name).executeQuery<any>(CompiledQuery.raw(sql))).rows,
      execute: async (name, sql) => void (await database(name).executeQuery(CompiledQuery.raw(sql))),
    },
    cleanup: async () => server.clear(),
  }
})

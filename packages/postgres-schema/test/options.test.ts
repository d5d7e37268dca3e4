import { afterAll, beforeAll, expect, it } from 'vitest'
import { createPostgresSchemaProvider, type PostgresSchemaProviderOptions } from '../src/index.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { call, failure, providerOf } from './support.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database?.drop())

it.each<[string, Partial<PostgresSchemaProviderOptions>]>([
  ['connection', { connection: 'postgres://app:100%@127.0.0.1/app' }],
  ['servers.two.connection', { servers: { two: { connection: 'postgres://app:100%@127.0.0.1/app' } } }],
  ['maxConnections', { maxConnections: 2.5 }],
  ['maxConnectionsPerTenant', { maxConnectionsPerTenant: 0 }],
])('a mistake in %s is told at construction', (option, change) => {
  const good = { connection: 'postgres://127.0.0.1/app', secret: 's'.repeat(32) }
  expect(() => createPostgresSchemaProvider({ ...good, ...change })).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      message: expect.stringMatching(new RegExp(`^${option}:`)),
    }),
  )
})

it('a server that is down hides none of the others’ tenants, and nothing is said to be missing', async () => {
  const provider = providerOf(database, {
    // Nobody listens there.
    servers: { down: { connection: 'postgres://nobody@127.0.0.1:1/nothing' } },
  })
  try {
    const one = providerOf(database)
    const { locator } = await one.create('there_a', call).finally(() => one.close())
    expect(await provider.find('there_a', call)).toEqual(locator)
    const error = await failure(
      provider.find('nowhere_a', call).catch((cause: unknown) => {
        throw provider.mapError(cause)
      }),
    )
    expect(error.code).toBe('provider_unavailable')
  } finally {
    await provider.close()
  }
})

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
      detail: expect.stringMatching(new RegExp(`^${option}:`)),
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

it.each([
  ['a port that refuses', 'postgres://nobody@localhost:1/nothing', 'provider_unavailable', /ECONNREFUSED/],
  [
    'a host without an address',
    'postgres://nobody@no-such-host.invalid/nothing',
    'provider_unavailable',
    /no-such-host\.invalid/,
  ],
  [
    'a socket that is not there',
    'postgres://nobody@/nothing?host=/no-such-directory',
    'provider_unavailable',
    /no-such-directory/,
  ],
  ['a server without TLS', 'sslmode=require', 'config_invalid', /SSL|certificate/i],
  ['a database that is not there', 'nothing_there', 'provider_rejected', /nothing_there/],
  ['a login that the server refuses', undefined, 'credentials_rejected', /no-such-administrator/],
] as const)('%s is reported without a delay, and by name', async (_, connection, code, message) => {
  const url = new URL(database.url)
  if (connection === undefined) url.username = 'no-such-administrator'
  else if (connection.includes('=')) url.search = connection
  else url.pathname = '/nothing_there'
  const provider = providerOf(database, { connection: connection?.includes('://') ? connection : url.href })
  const began = performance.now()
  try {
    for (const member of [provider.find, provider.create]) {
      const error = await Promise.resolve(member('tenant_x', call)).catch((thrown: unknown) =>
        provider.mapError(thrown),
      )
      expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
    }
    expect(performance.now() - began).toBeLessThan(3_000)
  } finally {
    await provider.close()
  }
})

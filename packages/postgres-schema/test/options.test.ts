import { captureError, neverAborted } from '@tenantry/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createPostgresSchemaProvider, type PostgresSchemaProviderOptions } from '../src/index.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { createProvider } from './support.ts'

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
])('a mistake in %s is reported at construction', (option, change) => {
  const good = { connection: 'postgres://127.0.0.1/app', secret: 's'.repeat(32) }
  expect(() => createPostgresSchemaProvider({ ...good, ...change })).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      detail: expect.stringMatching(new RegExp(`^${option}:`)),
    }),
  )
})

it('an unreachable server hides no tenant of another server, and no tenant is reported as missing', async () => {
  const provider = createProvider(database, {
    // No server listens on port 1.
    servers: { down: { connection: 'postgres://app@127.0.0.1:1/nothing' } },
  })
  try {
    const one = createProvider(database)
    const { locator } = await one.create('there_a', neverAborted).finally(() => one.close())
    expect(await provider.find('there_a', neverAborted)).toEqual(locator)
    const error = await captureError(
      provider.find('nowhere_a', neverAborted).catch((cause: unknown) => {
        throw provider.mapError(cause)
      }),
    )
    expect(error.code).toBe('provider_unavailable')
  } finally {
    await provider.close()
  }
})

it.each([
  ['a port that refuses', 'postgres://app@localhost:1/nothing', 'provider_unavailable', /ECONNREFUSED/],
  [
    'a host without an address',
    'postgres://app@no-such-host.invalid/nothing',
    'provider_unavailable',
    /no-such-host\.invalid/,
  ],
  [
    'a socket that does not exist',
    'postgres://app@/nothing?host=/no-such-directory',
    'provider_unavailable',
    /no-such-directory/,
  ],
  ['a server without TLS', 'sslmode=require', 'config_invalid', /SSL|certificate/i],
  ['a database that does not exist', 'nothing_there', 'provider_rejected', /nothing_there/],
  ['a login that the server refuses', undefined, 'credentials_rejected', /no-such-administrator/],
] as const)(
  '%s is reported without a delay in an error that names the cause',
  async (_, connection, code, message) => {
    const url = new URL(database.url)
    if (connection === undefined) url.username = 'no-such-administrator'
    else if (connection.includes('=')) url.search = connection
    else url.pathname = '/nothing_there'
    const provider = createProvider(database, {
      connection: connection?.includes('://') ? connection : url.href,
    })
    const began = performance.now()
    try {
      for (const member of [provider.find, provider.create]) {
        const error = await Promise.resolve(member('tenant_x', neverAborted)).catch((thrown: unknown) =>
          provider.mapError(thrown),
        )
        expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
      }
      expect(performance.now() - began).toBeLessThan(3_000)
    } finally {
      await provider.close()
    }
  },
)

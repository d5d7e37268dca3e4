import { inspect } from 'node:util'
import { captureError, neverAborted } from '@tenantry/test-support'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPostgresSchemaProvider } from '../src/index.ts'
import { connectClient, createDatabase, type TestDatabase } from './database.ts'
import { type OwnServer, startServer } from './server.ts'
import { createProvider, open, type Provider } from './support.ts'

// PostgreSQL 18 that requires a password (SCRAM) of every login. The server of the other tests may require none.
let server: OwnServer
let database: TestDatabase
const providers: Provider[] = []
beforeAll(async () => {
  server = await startServer()
  database = await createDatabase(server)
}, 60_000)
afterAll(async () => {
  for (const provider of providers) await provider.close()
  await database?.drop()
  await server?.stop()
}, 60_000)

function start(options: Parameters<typeof createProvider>[1] = {}): Provider {
  const provider = createProvider(database, options)
  providers.push(provider)
  return provider
}

describe('on a server with passwords', () => {
  it.each(['role', 'set_role', 'search_path'] as const)(
    '%s: a tenant logs in with its password and runs transactions',
    async (isolation) => {
      const client = await open(start({ isolation }), `${isolation}_a`)
      expect((await client.query('SELECT body FROM notes')).rows).toEqual([{ body: `of ${isolation}_a` }])
      const lease = await client.connect()
      await lease.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
      await lease.query('SELECT * FROM notes')
      await lease.query('COMMIT')
      lease.release()
    },
  )

  it.each(['role', 'set_role'] as const)(
    '%s: a provider with another secret cannot log in, and its error contains no secret',
    async (isolation) => {
      const provider = start({ isolation })
      await open(provider, `${isolation}_b`)
      const secret = 'another secret of more than 32 characters'
      const other = createPostgresSchemaProvider({ connection: database.url, secret, isolation })
      providers.push(other)
      const error = await captureError((await open(other, `${isolation}_b`)).query('SELECT 1'))
      expect(error.code).toBe('credentials_rejected')
      const seen = inspect(error, { depth: 10 }) + JSON.stringify(error)
      for (const each of [secret, database.secret, 'password-of-the-test-server', 'SCRAM-SHA-256$'])
        expect(seen).not.toContain(each)
    },
  )

  it('an administrator without a password gets an error that names the password', async () => {
    const url = new URL(database.url)
    url.password = ''
    const provider = start({ connection: url.href })
    const error = await provider
      .find('missing', neverAborted)
      .catch((thrown: unknown) => provider.mapError(thrown))
    expect(error).toMatchObject({ code: 'credentials_rejected', message: expect.stringMatching(/password/) })
  })

  it('an administrator without superuser rights can run all operations', async () => {
    const name = new URL(database.url).pathname.slice(1)
    await database.sql(
      `CREATE ROLE manager LOGIN CREATEROLE PASSWORD 'managers-password'; GRANT CREATE ON DATABASE ${name} TO manager`,
    )
    const url = new URL(database.url)
    url.username = 'manager'
    url.password = 'managers-password'
    for (const isolation of ['role', 'search_path'] as const) {
      const provider = createPostgresSchemaProvider({
        connection: url.href,
        secret: database.secret,
        isolation,
        drainTimeout: 300,
      })
      providers.push(provider)
      const client = await open(provider, `managed_${isolation}`)
      const lease = await client.connect()
      await lease.query('BEGIN')
      await lease.query('SELECT * FROM notes')
      const locator = await provider.find(`managed_${isolation}`, neverAborted)
      await provider.setAccess?.(locator ?? {}, 'closed', neverAborted)
      await provider.setAccess?.(locator ?? {}, 'open', neverAborted)
      expect((await client.query('SELECT body FROM notes')).rowCount).toBe(1)
      await provider.drop(locator ?? {}, neverAborted)
      lease.release(true)
      expect(await provider.find(`managed_${isolation}`, neverAborted)).toBeUndefined()
      await provider.close()
    }
    await database.sql(
      `REVOKE ALL ON DATABASE ${name} FROM manager; DROP OWNED BY manager; DROP ROLE manager`,
    )
  }, 40_000)

  it('a password that a tenant sets for itself is replaced when the tenant is opened again', async () => {
    const provider = start({ isolation: 'role', idleTimeout: 100 })
    const client = await open(provider, 'changed_a')
    const { rows } = await client.query('SELECT current_user AS role')
    await client.query("ALTER ROLE CURRENT_USER PASSWORD 'its-own-password'")
    const url = new URL(database.url)
    url.username = rows[0].role
    url.password = 'its-own-password'
    await (await connectClient(url.href)).end()
    const locator = (await provider.find('changed_a', neverAborted)) ?? {}
    await provider.setAccess?.(locator, 'closed', neverAborted)
    await provider.setAccess?.(locator, 'open', neverAborted)
    await expect(connectClient(url.href)).rejects.toMatchObject({ code: '28P01' })
    expect((await client.query('SELECT body FROM notes')).rows).toEqual([{ body: 'of changed_a' }])
  })

  it('fails running statements with a code when the server restarts, and serves the next ones', async () => {
    const provider = start({ isolation: 'set_role' })
    const client = await open(provider, 'restart_a')
    const flying = client.query('SELECT pg_sleep(30)').catch((error: unknown) => provider.mapError(error))
    const creating = Array.from({ length: 20 }, (_, at) =>
      provider.create(`restart_many_${at}`, neverAborted).catch(provider.mapError),
    )
    await server.restart()
    expect(await flying).toMatchObject({ code: 'provider_unavailable' })
    for (const outcome of await Promise.all(creating)) {
      if (outcome instanceof Error) expect(outcome).toMatchObject({ retryable: true })
    }
    for (let at = 0; at < 20; at++) {
      const { locator } = await provider.create(`restart_many_${at}`, neverAborted)
      await provider.drop(locator, neverAborted)
    }
    expect((await client.query('SELECT body FROM notes')).rows).toEqual([{ body: 'of restart_a' }])
  }, 60_000)
})

import { captureError, neverAborted } from '@tenantry/test-support'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPostgresSchemaProvider, type PostgresSchemaProviderOptions } from '../src/index.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { type PgBouncer, startPgBouncer, withoutPgBouncer } from './pgbouncer.ts'
import { startSocket } from './socket.ts'
import { createProvider, open, type Provider } from './support.ts'

let database: TestDatabase
const closing: (() => Promise<void>)[] = []
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(async () => {
  for (const close of closing.reverse()) await close()
  await database?.drop()
})

function start(options: Partial<PostgresSchemaProviderOptions>): Provider {
  const provider = createProvider(database, { idleTimeout: 200, ...options })
  closing.push(provider.close)
  return provider
}

function construct(options: Partial<PostgresSchemaProviderOptions>): Error | undefined {
  try {
    createPostgresSchemaProvider({
      connection: 'postgres://app:pass@127.0.0.1/app',
      secret: 's'.repeat(32),
      ...options,
    })
  } catch (error) {
    return error as Error
  }
}

describe('a connection URL', () => {
  it.each([
    'user=postgres', 'password=x', 'host=other.example', 'host=/tmp', 'port=5433', 'database=x', 'dbname=x', 'db=x',
    'replication=database', 'encoding=utf8', 'schema=public', 'Promise=x', 'stream=x', 'connectionString=x', '__proto__=x',
  ])('that has the parameter %s is rejected, and the message names the parameter', (parameter) => {
    const [name = ''] = parameter.split('=')
    expect(construct({ connection: `postgres://app:pass@127.0.0.1/app?${parameter}` })).toMatchObject({
      code: 'config_invalid',
      detail: expect.stringMatching(new RegExp(`^connection: .*"${name}"`)),
    })
  }) // biome-ignore format: a list

  it.each([
    ['postgres://app:pass@one.example,two.example/app', /several hosts/],
    ['postgres://app:pass@one.example:5432,two.example:5433/app', /several hosts/],
    ['postgres://app:pass@/app?host=one.example,two.example', /"host"/],
    ['postgres://app:pa#ss@127.0.0.1/app', /URL/],
    ['postgres://app:1#x@127.0.0.1/app', /"#"/],
    ['postgres://app@127.0.0.1/app?sslmode=disable&sslmode=require', /"sslmode" twice/],
    ['postgres://app@127.0.0.1/app?connect_timeout=soon', /"connect_timeout"/],
    ['postgres://app@127.0.0.1/app?options=-c%20role%3Dpostgres', /sets role/],
    ['postgres://app@127.0.0.1/app?options=-csearch_path%3Dpublic', /sets search_path/],
    ['postgres://app@127.0.0.1/app?options=--session-authorization%3Dpostgres', /sets session-authorization/],
  ])('%s is rejected with a message that names the mistake', (connection, message) => {
    expect(construct({ connection })).toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(message),
    })
  })

  it.each([
    ['connection.replication', { connection: { host: '127.0.0.1', replication: 'database' } as object }],
    ['connection.pipeline', { connection: { host: '127.0.0.1', pipeline: true } as object }],
    ['connection.connection', { connection: { connection: {} } as object }],
    ['connection.host', { connection: { host: 'one.example,two.example' } }],
    ['connection.options', { connection: { options: '-c role=postgres' } }],
    ['serve.connectionString', { serve: { connectionString: 'postgres://other.example/app' } as object }],
    ['serve.host', { serve: { host: 'one.example,two.example' } }],
  ])('has the same rules as an object: %s is rejected', (option, options) => {
    expect(construct(options)).toMatchObject({
      code: 'config_invalid',
      detail: expect.stringMatching(new RegExp(`^${option}:`)),
    })
  })

  it('can set TLS, timeouts, the encoding and the name of the application', async () => {
    const url = new URL(database.url)
    url.search =
      '?sslmode=disable&application_name=mine&statement_timeout=54321&connect_timeout=5&channel_binding=prefer'
    const client = await open(start({ connection: url.href }), 'parameters')
    const { rows } = await client.query(
      "SELECT current_setting('application_name') AS name, current_setting('statement_timeout') AS timeout, session_user AS login",
    )
    expect(rows).toMatchObject([{ name: 'mine', timeout: '54321ms' }])
    expect(rows[0]?.login).toMatch(/^tenantry_/)
  })

  it('with sslmode=require does not replace the TLS, host and login of serve', async () => {
    const url = new URL(database.url)
    const { hostname: host, port } = url
    url.hostname = 'unused.invalid'
    url.search = '?sslmode=require'
    const own = start({ isolation: 'search_path' })
    await open(own, 'replaced')
    const { locator } = await own.create('replaced', neverAborted)
    const provider = start({
      connection: url.href,
      isolation: 'search_path',
      serve: { host, port: Number(port || 5432), ssl: false },
    })
    const pool = await provider.connect({ locator, purpose: 'serve', verify: async () => {} }, neverAborted)
    expect((await pool.query('SELECT body FROM notes')).rows).toEqual([{ body: 'of replaced' }])
  })

  it.each(['?host=', 'encoded'])('can name the directory of a Unix socket: %s', async (spelling) => {
    const { hostname, port, username, password, pathname } = new URL(database.url)
    const socket = await startSocket('project:region:instance', {
      host: hostname,
      port: Number(port || 5432),
    })
    closing.push(socket.stop)
    const login = `${username}:${password}`
    const connection =
      spelling === '?host='
        ? `postgres://${login}@${pathname}?host=${socket.directory}`
        : `postgres://${login}@${encodeURIComponent(socket.directory)}${pathname}?sslmode=require`
    for (const isolation of ['role', 'set_role', 'search_path'] as const) {
      const client = await open(start({ connection, isolation }), `socket_${isolation}`)
      expect((await client.query('SELECT body FROM notes')).rows).toEqual([
        { body: `of socket_${isolation}` },
      ])
    }
    expect(socket.connections).toBeGreaterThan(0)
  })
})

if (withoutPgBouncer !== undefined) console.warn(`SKIPPED, tests of another login: ${withoutPgBouncer}`)

describe.skipIf(withoutPgBouncer !== undefined)('a server that gives the connection another login', () => {
  let bouncers: Record<'session' | 'transaction', PgBouncer>
  beforeAll(async () => {
    const forced = { size: 4, database: 'user=postgres', settings: ['auth_type = any', 'auth_user ='] }
    bouncers = {
      session: await startPgBouncer(database.url, { ...forced, mode: 'session' }),
      transaction: await startPgBouncer(database.url, forced),
    }
    closing.push(bouncers.session.stop, bouncers.transaction.stop)
    await database.sql("CREATE ROLE tenantry_test_app LOGIN NOINHERIT PASSWORD 'app'")
  })
  afterAll(() => database.sql('DROP OWNED BY tenantry_test_app; DROP ROLE tenantry_test_app'))

  it.each([
    ['role', 'session'],
    ['role', 'transaction'],
    ['set_role', 'session'],
    ['set_role', 'transaction'],
    ['search_path', 'session'],
    ['search_path', 'transaction'],
  ] as const)('%s, pooler %s: is rejected before a statement runs', async (isolation, pooler) => {
    const login = isolation === 'search_path' ? { user: 'tenantry_test_app', password: 'app' } : {}
    const name = `other_login_${isolation}_${pooler}`
    const direct = start({ isolation, serve: login })
    await open(direct, name)
    const { locator } = await direct.create(name, neverAborted)
    const { host, port } = bouncers[pooler]
    const provider = start({ isolation, pooler, serve: { host, port, ...login } })
    const target = { locator, purpose: 'serve', verify: async () => {} } as const
    const pool = await provider.connect(target, neverAborted)
    const refused = { code: 'config_invalid', message: expect.stringContaining('postgres') }
    expect(await captureError(pool.query("UPDATE notes SET body = 'changed'"))).toMatchObject(refused)
    const transaction = async (): Promise<void> => {
      const client = await pool.connect()
      try {
        await client.query('BEGIN')
        await client.query("UPDATE notes SET body = 'changed'")
        await client.query('COMMIT')
      } finally {
        client.release(true)
      }
    }
    expect(await captureError(transaction())).toMatchObject(refused)
    expect(await database.sql(`SELECT body FROM ${name}.notes`)).toEqual([{ body: `of ${name}` }])
  })
})

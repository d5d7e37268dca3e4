import { build } from 'esbuild'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createPostgresSchemaFactory } from '../src/index.ts'
import { createDatabase, type TestDatabase } from './database.ts'

// A Worker with a Hyperdrive binding, whose local connection string leads to the server here.
const WORKER = `
  import { createPostgresSchemaFactory } from './src/index.ts'
  let factory
  export default {
    async fetch(request, env) {
      factory ??= createPostgresSchemaFactory({
        connection: env.HYPERDRIVE.connectionString, isolation: 'set_role', pooler: 'transaction', secret: env.SECRET,
        createAdapters: (pool) => pool,
      })
      const url = new URL(request.url)
      const tenant = url.pathname.slice(1)
      const pool = await factory.getAdapters(tenant)
      if (url.searchParams.has('add')) await pool.query('INSERT INTO notes (body) VALUES ($1)', [url.searchParams.get('add')])
      const first = await pool.query('SELECT body, current_schema() AS schema FROM notes ORDER BY id')
      const lease = await pool.connect()
      await lease.query('BEGIN')
      const second = await lease.query('SELECT count(*)::int AS n FROM notes')
      await lease.query('COMMIT')
      lease.release()
      return Response.json({ rows: first.rows, n: second.rows[0].n })
    },
  }`

let database: TestDatabase
let worker: Miniflare
beforeAll(async () => {
  database = await createDatabase()
  const { outputFiles } = await build({
    stdin: { contents: WORKER, resolveDir: new URL('..', import.meta.url).pathname, loader: 'ts' },
    bundle: true, write: false, format: 'esm', target: 'es2022', platform: 'node', external: ['node:*', 'cloudflare:*', 'pg-native'],
    conditions: ['workerd', 'worker'],
    // The runtime has Node's modules under `node:` only, without bare names.
    alias: Object.fromEntries(['events', 'util', 'crypto', 'dns', 'fs', 'net', 'tls', 'stream', 'path', 'string_decoder', 'assert'].map((name) => [name, `node:${name}`])),
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire('/');" },
  }) // biome-ignore format: one object
  // Hyperdrive requires a password, also for a server that requires none.
  const url = new URL(database.url)
  url.password ||= 'unused'
  worker = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: outputFiles[0]?.text ?? '',
      compatibilityDate: '2026-04-01',
      compatibilityFlags: ['nodejs_compat'],
      bindings: { SECRET: database.secret },
      hyperdrives: { HYPERDRIVE: url.href },
    }),
  )
  await worker.ready
})
afterAll(async () => {
  await worker?.dispose()
  await database?.drop()
})

it('serves concurrent requests of two tenants in one isolate of workerd, through Hyperdrive, each from its own schema', async () => {
  const factory = createPostgresSchemaFactory({
    connection: database.url, isolation: 'set_role', secret: database.secret,
    migrations: { '001': 'CREATE TABLE notes (id serial PRIMARY KEY, body text)' },
  }) // biome-ignore format: one object
  const tenants = ['acme', 'globex']
  for (const tenant of tenants) await factory.provision(tenant)
  await factory.close()
  const request = async (tenant: string, add = ''): Promise<any> => {
    const response = await worker.dispatchFetch(
      `http://localhost/${tenant}${add === '' ? '' : `?add=${add}`}`,
    )
    expect(response.status, await response.clone().text()).toBe(200)
    return response.json()
  }
  for (const tenant of tenants) await request(tenant, `of-${tenant}`)
  const answers = await Promise.all(Array.from({ length: 40 }, (_, at) => request(tenants[at % 2] ?? '')))
  for (const [at, { rows, n }] of answers.entries()) {
    expect(rows).toEqual([{ body: `of-${tenants[at % 2]}`, schema: `tenant_${tenants[at % 2]}` }])
    expect(n).toBe(1)
  }
})

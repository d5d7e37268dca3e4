import { writeFileSync } from 'node:fs'
import { startCloudflareEmulator } from '@tenantry/emulators'
import type { DatabaseFactory, MultiTenancy } from '@tenantry/multi-tenancy'
import { transformSync } from 'esbuild'
import type { Hono } from 'hono'
import { type Kysely, sql } from 'kysely'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Snippet } from '../src/snippets/markdown.ts'
import { SPEC, specificationIsHere, specificationSnippets } from '../src/snippets/spec.ts'
import { SURROUNDINGS } from '../src/snippets/spec-preludes.ts'
import { type SnippetFolder, toModule, writeSnippets } from '../src/snippets/typecheck.ts'

interface Adapters {
  tenant: string
  users: { list(): Promise<string[]> }
  logs: { list(): Promise<string[]> }
}

/** The exports of the modules built from the snippets. Each module has some of them. */
interface Exports {
  calls: string[]
  multiTenancy: MultiTenancy<Adapters>
  factory: DatabaseFactory<Adapters>
  app: Hono
  cache: { has(key: string): boolean; max: number }
  runMigrations(tenantId: string): Promise<void>
  provision(tenantId: string): Promise<void>
}

const all = specificationIsHere() ? specificationSnippets() : []
const snippets: Snippet[] = all.flatMap(({ heading, line, code }, index) => {
  const around = SURROUNDINGS[heading]
  if (around === undefined) return []
  const { prelude, rest = '// ...', after = '' } = around
  const name = `spec-${index + 1}`
  const text = `${code.replace('// ...', rest)}\n${after}`
  return [{ name, file: `the specification, ${heading}`, line, code: text, prelude, run: false }]
})

if (!specificationIsHere()) {
  console.log(`The specification's snippets are not checked: there is no ${SPEC}`)
  test('the specification lies beside the checkout where CI runs', () => {
    expect(process.env.CI).not.toBe('true')
  })
}

describe.runIf(specificationIsHere())('the snippets of the specification', () => {
  let folder: SnippetFolder
  beforeAll(() => {
    // The specification imports types without `type`.
    folder = writeSnippets(snippets, { verbatimModuleSyntax: false, isolatedModules: false })
  })
  afterAll(() => folder?.remove())
  afterEach(() => vi.unstubAllGlobals())

  /** The module of the snippet under this heading. */
  async function load(heading: string): Promise<Exports> {
    const snippet = snippets.find(({ file }) => file.endsWith(heading))
    if (snippet === undefined) throw new Error(`No snippet under ${heading}`)
    const file = folder.path(snippet).replace(/ts$/, 'mjs')
    writeFileSync(file, transformSync(toModule(snippet), { loader: 'ts', format: 'esm' }).code)
    return (await import(file)) as Exports
  }

  test('are all known here', () => {
    expect(all.map(({ heading }) => heading).sort()).toEqual(Object.keys(SURROUNDINGS).sort())
    expect(all).toHaveLength(15)
  })

  test.each(snippets)('$file compiles', (snippet) => {
    expect(folder.errors(snippet)).toEqual([])
  })

  test("D1: a tenant's database is created over the API, migrated, served and deleted", {
    timeout: 60_000,
  }, async () => {
    const emulator = await startCloudflareEmulator({
      accountId: '0'.repeat(32),
      apiToken: 'a-token-of-the-account',
    })
    try {
      const send = globalThis.fetch
      vi.stubGlobal('fetch', (url: string, init: RequestInit) =>
        send(String(url).replace('https://api.cloudflare.com/client/v4', emulator.baseUrl), init),
      )
      const { multiTenancy, calls } = await load('Cloudflare D1')
      await multiTenancy.tenants.create('acme')
      expect(calls).toEqual(['migrate acme'])
      const adapters: unknown = await multiTenancy.config.databaseIsolation.getAdapters('acme')
      const { db } = adapters as { db: Kysely<any> }
      expect(await sql`SELECT 1 AS one`.execute(db)).toMatchObject({ rows: [{ one: 1 }] })
      await multiTenancy.tenants.delete('acme')
      await expect(multiTenancy.config.databaseIsolation.getAdapters('acme')).rejects.toMatchObject({
        code: 'tenant_not_found',
      })
    } finally {
      await emulator.close()
    }
  })

  test('Turso: the factory written in the app is called as one of ours is', async () => {
    const { multiTenancy } = await load('Turso / LibSQL')
    const requests: string[] = []
    vi.stubGlobal('fetch', async (url: string, { method }: RequestInit) => {
      requests.push(`${method} ${url}`)
      return new Response('{}')
    })
    await multiTenancy.tenants.create('acme')
    await multiTenancy.tenants.delete('acme')
    const databases = 'https://api.turso.tech/v1/organizations/my-org/databases'
    expect(requests).toEqual([`POST ${databases}`, `DELETE ${databases}/tenant-acme`])
  })

  test('Custom provider: provisioned, served and deprovisioned in its own order', async () => {
    const { multiTenancy, calls } = await load('Custom Database Provider')
    await multiTenancy.tenants.create('acme')
    expect(calls).toEqual(['create tenant_acme', 'migrate acme', 'seed acme', 'configure backups acme'])
    expect(await multiTenancy.tenants.get('acme')).toEqual({ id: 'acme', state: 'active' })
    calls.length = 0
    await multiTenancy.tenants.delete('acme')
    expect(calls).toEqual(['back up acme', 'archive acme', 'delete tenant_acme'])
  })

  test('Basic set-up: serves tenants and creates none', async () => {
    const { multiTenancy } = await load('Basic Setup')
    expect((await multiTenancy.config.databaseIsolation.getAdapters('acme')).tenant).toBe('acme')
    await expect(multiTenancy.tenants.create('acme')).rejects.toMatchObject({ code: 'not_supported' })
  })

  test('With provisioning and with deprovisioning: the hooks run, in their order', async () => {
    const module = await load('With Provisioning')
    await module.multiTenancy.hooks.onProvision('acme')
    expect(module.calls).toEqual(['provision acme', 'migrate acme', 'seed acme'])
    const deleted = await load('With Deprovisioning')
    await deleted.multiTenancy.hooks.onProvision('acme')
    await deleted.multiTenancy.hooks.onDeprovision('acme')
    expect(deleted.calls).toEqual(['provision acme', 'back up acme', 'deprovision acme', 'clean up acme'])
  })

  test('Middleware: concurrent requests of two tenants each get their own adapters', async () => {
    const { app } = await load('Middleware Integration')
    const ask = async (tenant: string) =>
      (await app.request('/who', { headers: { 'x-my-tenant': tenant } })).json()
    const answers = await Promise.all(['acme', 'globex', 'acme'].map(ask))
    expect(answers).toEqual([
      ['acme', 'acme'],
      ['globex', 'globex'],
      ['acme', 'acme'],
    ])
    expect((await app.request('/who')).status).toBe(400)
  })

  test('Connection pooling in a Map: one connection for each tenant', async () => {
    const { factory, calls } = await load('Connection Pooling')
    const first = await factory.getAdapters('acme')
    expect(await factory.getAdapters('acme')).toBe(first)
    expect((await factory.getAdapters('globex')).tenant).toBe('globex')
    expect(calls).toEqual(['connect acme', 'connect globex'])
  })

  test('Caching in an LRUCache: the same', async () => {
    const { factory, calls, cache } = await load('Caching')
    const first = await factory.getAdapters('acme')
    expect(await factory.getAdapters('acme')).toBe(first)
    expect(calls).toEqual(['connect acme'])
    expect([cache.has('acme'), cache.has('globex'), cache.max]).toEqual([true, false, 100])
  })

  test('Migration management and backup strategy do what they say', async () => {
    const migrations = await load('Migration Management')
    await migrations.runMigrations('acme')
    expect(migrations.calls).toEqual(['acme 2', 'acme 3'])
    const backups = await load('Backup Strategy')
    await backups.provision('acme')
    expect(backups.calls).toEqual(['create acme', 'back up acme daily 30'])
  })

  test("Error handling: the app's own fallback is its own affair, and stays with its tenant", async () => {
    const { factory, calls } = await load('Error Handling')
    expect((await factory.getAdapters('acme')).tenant).toBe('acme replica')
    expect(calls).toEqual(['Failed to connect to database for tenant acme: Error: no acme'])
  })

  test('Lazy loading: a tenant is opened by its first request, not before', async () => {
    const { app, calls } = await load('Lazy Loading')
    expect(calls).toEqual([])
    const response = await app.request('/api/users', { headers: { 'x-my-tenant': 'acme' } })
    expect(await response.json()).toEqual(['acme users'])
    expect(calls).toEqual(['acme'])
  })

  test('Read replicas: some adapters from the replica, the rest from the primary', async () => {
    const { factory } = await load('Read Replicas')
    const { tenant, users, logs } = await factory.getAdapters('acme')
    expect([tenant, await users.list(), await logs.list()]).toEqual([
      'acme',
      ['acme replica users'],
      ['acme replica logs'],
    ])
  })
})

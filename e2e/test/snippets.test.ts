import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runNode } from '../src/process.ts'
import { requestTenant } from '../src/request-tenant.ts'
import { documentSnippets, documents, root } from '../src/snippets/documents.ts'
import { lastComment, markdownSnippets, type Snippet } from '../src/snippets/markdown.ts'
import { type SnippetFolder, writeSnippets } from '../src/snippets/typecheck.ts'

const snippets = documentSnippets()
let folder: SnippetFolder
let cwd: string
beforeAll(() => {
  folder = writeSnippets(snippets)
  cwd = mkdtempSync(join(tmpdir(), 'tenantry-snippets-'))
})
afterAll(() => {
  folder?.remove()
  rmSync(cwd, { recursive: true, force: true })
})

function readText(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

function isProgram({ run, code }: Snippet): boolean {
  return run || /\bserve\(\{ fetch: |^export default \{/m.test(code)
}

/** A program, or a block that another block of the same text imports. */
function isFile(snippet: Snippet): boolean {
  const others = snippets.filter(({ file, name }) => file === snippet.file && name !== snippet.name)
  return isProgram(snippet) || others.some(({ code }) => code.includes(`'./${snippet.name}.ts'`))
}

/** The paragraph before the block, or the comment in its first line, has the file name. */
function showsName({ file, line, name, code }: Snippet): boolean {
  const before = readText(file)
    .split('\n')
    .slice(Math.max(0, line - 8), line - 1)
  return (
    before.some((text) => text.includes(`\`${name}.ts\``)) ||
    (code.split('\n')[0] ?? '').includes(`// ${name}.ts`)
  )
}

/** The section has a command that runs the file. */
function showsCommand({ file, line, name }: Snippet): boolean {
  const lines = readText(file).split('\n')
  const start = lines.findLastIndex((text, at) => at < line && /^#{1,3} /.test(text))
  const end = lines.findIndex((text, at) => at > line && /^#{1,3} /.test(text))
  const section = lines.slice(start, end === -1 ? undefined : end).join('\n')
  return [`node ${name}.ts`, `bun run ${name}.ts`, `wrangler dev ${name}.ts`].some((command) =>
    section.includes(command),
  )
}

describe('snippets of the documentation', () => {
  test('stand in every README and guide that shows code', () => {
    const files = new Set(snippets.map(({ file }) => file))
    const shown = documents().filter((file) => readText(file).includes('\n```ts'))
    expect(shown.filter((file) => !files.has(file))).toEqual([])
    expect(shown.length).toBeGreaterThan(10)
  })

  test.each(snippets)('$file:$line $name compiles', (snippet) => {
    expect(folder.errors(snippet)).toEqual([])
  })

  test('are compiled as the reader sees them, without hidden declarations', () => {
    const hidden = snippets.filter(({ prelude }) => prelude !== '')
    expect(hidden.map(({ file, line, name }) => `${file}:${line} ${name}.ts`)).toEqual([])
  })

  test('that are programs, or are imported, show their file name; programs show their command', () => {
    const unnamed = snippets.filter((snippet) => isFile(snippet) && !showsName(snippet))
    expect(unnamed.map(({ file, line, name }) => `${file}:${line} ${name}.ts`)).toEqual([])
    const withoutCommand = snippets.filter((snippet) => isProgram(snippet) && !showsCommand(snippet))
    expect(withoutCommand.map(({ file, line, name }) => `${file}:${line} ${name}.ts`)).toEqual([])
  })

  test('come with commands that a fresh machine has: npx -y pnpm@VERSION, not pnpm', () => {
    const bare = documents().flatMap((file) =>
      Array.from(
        readText(file).matchAll(/(?<![@/\w-])pnpm (?:[a-z][\w:-]*)/g),
        ([command]) => `${file}: ${command}`,
      ),
    )
    expect(bare).toEqual([])
  })

  test('stand in pages whose links lead to files', () => {
    const broken = documents().flatMap((file) =>
      Array.from(
        readText(file).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g),
        ([, target]) => target ?? '',
      )
        .filter((target) => !existsSync(join(root, dirname(file), target)))
        .map((target) => `${file}: ${target}`),
    )
    expect(broken).toEqual([])
  })

  test('stand in pages that an index lists', () => {
    const pages = documents().filter((file) => file.startsWith('docs/') && !file.endsWith('README.md'))
    const unlisted = pages.filter((file) => {
      const index = file.startsWith('docs/internals/') ? 'docs/internals/README.md' : 'README.md'
      return !readText(index).includes(`](${relative(dirname(index), file)})`)
    })
    expect(unlisted).toEqual([])
  })

  const programs = snippets.filter(({ run }) => run)
  test.each(programs)('$file:$line $name runs and prints its last comments', async (program) => {
    const { code, stdout, stderr } = await runNode([folder.path(program)], cwd).ended()
    expect(`${code} ${stderr.replace(/^\(.*|.*ExperimentalWarning.*\n/gm, '').trim()}`).toBe('0 ')
    // A test runner's output has durations; its exit code is the result.
    if (!program.code.includes("from 'node:test'")) expect(stdout.trim()).toBe(lastComment(program.code))
  })

  test('the quick start serves a tenant', async () => {
    const quickStart = snippets.find(({ name, file }) => name === 'app' && file === 'README.md')
    const listen = 'serve({ fetch: app.fetch, port: 8787 })'
    expect(quickStart?.code).toContain(listen)
    // A free port in place of the reader's, printed when the server listens.
    const code = quickStart?.code.replace(
      listen,
      "serve({ fetch: app.fetch, port: 0 }, ({ port }) => console.log('port', port))",
    )
    const program = { ...quickStart, code } as Snippet
    const started = writeSnippets([program])
    const server = runNode([started.path(program)], cwd)
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
      expect(broken.errors({ file: 'guide.md', name: 'broken' }).join()).toMatch(
        /^guide\.md:8 error TS2339: .*'nothing'/,
      )
    } finally {
      broken.remove()
    }
  })

  test('refuses blocks that it could not check', () => {
    expect(() => markdownSnippets('a.md', '1. So:\n   ```ts\n   x\n   ```')).toThrow('a.md:2: write')
    expect(() => markdownSnippets('a.md', '```typescript\nx\n```')).toThrow('a.md:1: write')
    expect(() => markdownSnippets('a.md', '```ts\nx')).toThrow('a.md:1: the block or comment has no end')
    expect(() => markdownSnippets('a.md', '<!-- snippet: a.ts -->\ntext')).toThrow('names no snippet')
  })
})

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startNode } from '@tenantry/test-support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CheckoutCopy, copyCheckout } from '../src/checkout-copy.ts'
import { runNode } from '../src/process.ts'
import { markdownSnippets } from '../src/snippets/markdown.ts'

const root = new URL('../../', import.meta.url).pathname
let copy: CheckoutCopy
let folder: string

/** A tool's output; when it fails, also its exit status and errors. */
function run(command: string, args: string[], cwd: string): string {
  // The inner vitest must not read the variables of the outer one.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST'))
  const { status, signal, stdout, stderr } = spawnSync(join(copy.path, 'node_modules/.bin', command), args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...Object.fromEntries(inherited), NO_COLOR: '1' },
    timeout: 150_000,
  })
  return status === 0 ? stdout : `${command} ended with ${status ?? signal}\n${stdout}${stderr}`
}

function newProvider(name: string): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, [join(copy.path, 'scripts/new-provider.mjs'), name], {
    encoding: 'utf8',
  })
}

beforeAll(() => {
  copy = copyCheckout()
  const { status, stderr } = newProvider('two-words')
  if (status !== 0) throw new Error(stderr)
  copy.install('packages/two-words')
  folder = join(copy.path, 'packages/two-words')
})
afterAll(() => copy?.remove())

describe('a package created by pnpm new-provider', () => {
  test('has the same few files as every provider, under its own name', () => {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    expect(files.filter((file) => !file.startsWith('node_modules') && file.includes('.')).sort()).toEqual([
      'README.md',
      'package.json',
      'src/errors.ts',
      'src/factory.ts',
      'src/index.ts',
      'src/provider.ts',
      'src/sqlite.ts',
      'src/view.ts',
      'test/conformance.test.ts',
      'tsconfig.json',
      'tsdown.config.ts',
      'vitest.config.ts',
    ])
    expect(readFileSync(join(folder, 'README.md'), 'utf8')).toMatch(/^# @tenantry\/two-words\n/)
    const texts = execFileSync('grep', ['-rhv', '^$', 'src', 'test', 'README.md', 'package.json'], {
      cwd: folder,
    })
    expect(texts.toString()).toContain('createTwoWordsFactory')
    expect(texts.toString()).not.toMatch(/PROVIDER_NAME|[mM]emoryFactory|'\.\.\/\.\.\//)
  })

  test('has a test of at most 40 lines', () => {
    const lines = readFileSync(join(folder, 'test/conformance.test.ts'), 'utf8').trimEnd().split('\n')
    expect(lines.length).toBeLessThanOrEqual(40)
  })

  test('passes the linters without an edit outside its folder', () => {
    // Biome fails when it has no file to check, and writes its summary to stderr.
    expect(run('biome', ['check', '.'], copy.path)).toBe('')
    expect(run('knip', [], copy.path)).toBe('')
  })

  test('type-checks', () => {
    expect(run('tsc', ['-p', folder], folder)).toBe('')
  })

  test('builds, and its packed files pass publint and attw', () => {
    expect(run('tsdown', ['--no-clean'], folder)).toContain('Build complete')
    expect(readdirSync(join(folder, 'dist')).sort()).toEqual(['index.d.ts', 'index.js', 'index.js.map'])
  })

  test('has a README whose snippets compile in e2e without an edit of e2e/package.json', async () => {
    const e2e = join(copy.path, 'e2e/src/snippets')
    const script = `
      import { documentSnippets } from ${JSON.stringify(join(e2e, 'documents.ts'))}
      import { writeSnippets } from ${JSON.stringify(join(e2e, 'typecheck.ts'))}
      const snippets = documentSnippets().filter(({ file }) => file === 'packages/two-words/README.md')
      const folder = writeSnippets(snippets)
      console.log(JSON.stringify(snippets.map((snippet) => [snippet.name, folder.errors(snippet)])))
      folder.remove()`
    const { stdout, stderr } = await startNode('-', [], {
      nodeOptions: ['--no-warnings', '--input-type=module', '-e', script],
    }).exited
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual([['two-words-quick-start', []]])
  })

  test('passes the conformance kit without an edit', () => {
    const output = run('vitest', ['run', '--root', folder], folder)
    expect(output).toMatch(/^\s*Tests\s+\d{2,} passed/m)
    expect(output).not.toMatch(/failed/)
  })

  test('has a README that the checks accept, and a quick start that runs', async () => {
    const check = spawnSync(process.execPath, [join(copy.path, 'scripts/check-packages.mjs'), 'two-words'], {
      encoding: 'utf8',
    })
    expect(check.stderr).toBe('')
    const [quickStart] = markdownSnippets('README.md', readFileSync(join(folder, 'README.md'), 'utf8'))
    expect(quickStart?.name).toBe('two-words-quick-start')
    writeFileSync(join(folder, 'quick-start.ts'), quickStart?.code ?? '')
    const { code, stdout } = await runNode(['quick-start.ts'], folder).ended()
    expect([code, stdout]).toEqual([0, '200\n'])
  })
})

describe('pnpm new-provider', () => {
  test('refuses a name that is taken or invalid', () => {
    expect(newProvider('two-words').stderr).toBe(
      'packages/two-words already exists: choose another name or remove the folder.\n',
    )
    for (const name of ['', 'Turso', '../turso', 'a--b', 'a_b'])
      expect(newProvider(name).stderr).toMatch(/^Usage/)
  })

  test('does not change the checkout that the copy came from', () => {
    expect(existsSync(join(root, 'packages/two-words'))).toBe(false)
  })
})

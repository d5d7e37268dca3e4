import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CheckoutCopy, copyCheckout } from '../src/checkout-copy.ts'

const root = new URL('../../', import.meta.url).pathname

/** The problems the script reports for a checkout, or for some of its packages. */
function problems(checkout: string, packages: string[] = []): string[] {
  const args = [join(checkout, 'scripts/check-packages.mjs'), ...packages]
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  const lines = stderr.split('\n').filter((line) => line !== '')
  expect(status).toBe(lines.length === 0 ? 0 : 1)
  return lines
}

test('every package has the same few files, scripts and README headings, and no file names a machine', () => {
  expect(problems(root)).toEqual([])
})

describe('the check of packages', () => {
  let copy: CheckoutCopy
  beforeAll(() => {
    copy = copyCheckout()
  })
  afterAll(() => copy?.remove())

  function edit(file: string, from: string | RegExp, to: string): () => void {
    const path = join(copy.path, 'packages/multi-tenancy', file)
    const text = readFileSync(path, 'utf8')
    expect(text).toMatch(from)
    writeFileSync(path, text.replace(from, to))
    return () => writeFileSync(path, text)
  }

  test.each([
    ['package.json', '"MIT"', '"ISC"', 'package.json: license is not "MIT"'],
    ['package.json', '"sideEffects": false', '"sideEffects": true', 'package.json: sideEffects is not false'],
    ['package.json', '">=22"', '">=18"', 'package.json: engines is not {"node":">=22"}'],
    ['package.json', './dist/memory.js', './src/memory.js', 'is not types and default of one file of dist/'],
    ['package.json', '"./memory": "./src/', '"./other": "./src/', 'publishConfig.exports have different'],
    ['README.md', '## Caching', '## Caches', 'README.md lacks "## Caching"'],
    ['README.md', /(## Limits\n)([\s\S]*)(## Versions tested\n)/, '$3$2$1', 'headings in another order'],
    ['README.md', '# @tenantry/multi-tenancy', '# The core', 'does not start with # @tenantry/multi-tenancy'],
  ])('%s with %s turned into %s is reported', (file, from, to, problem) => {
    const undo = edit(file, from, to)
    expect(problems(copy.path, ['multi-tenancy']).join('\n')).toContain(problem)
    undo()
    expect(problems(copy.path, ['multi-tenancy'])).toEqual([])
  })

  test('a registry host or a path of one machine in a tracked file is reported, with its line', () => {
    const [host, path] = [`https://${['registry', 'npmjs', 'org'].join('.')}/`, `/${'home'}/user/x`]
    const undo = edit('README.md', '## Caching\n', `## Caching\n${host}\n`)
    spawnSync('git', ['init', '-q'], { cwd: copy.path })
    spawnSync('git', ['add', 'packages'], { cwd: copy.path })
    expect(problems(copy.path).join('\n')).toMatch(/multi-tenancy\/README\.md:\d+ names a registry host/)
    undo()
    edit('README.md', '## Caching\n', `## Caching\nsee ${path}\n`)
    expect(problems(copy.path).join('\n')).toMatch(
      /multi-tenancy\/README\.md:\d+ names a path of one machine/,
    )
  })
})

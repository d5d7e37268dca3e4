import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  checkPackage,
  findCircles,
  findOversized,
  findUpwardImports,
  listPackages,
  readFolderImports,
  readImports,
  withLayers,
} from '../../scripts/check-structure.ts'

const sources = (files: Record<string, string>) => new Map(Object.entries(files))

describe.each(listPackages())('packages/%s', (name) => {
  test('has no circle of imports, and every import leads to a lower layer', () => {
    expect(checkPackage(name).direction).toEqual([])
  })

  test('has no file, function or parameter list over the limits', () => {
    expect(checkPackage(name).limits).toEqual([])
  })
})

test('docs/architecture.md prints the layers of scripts/structure.ts', () => {
  const page = readFileSync(new URL('../../docs/architecture.md', import.meta.url), 'utf8')
  expect(withLayers(page)).toBe(page)
})

describe('the check of imports', () => {
  test('counts imports of types, re-exports, imports in place and dynamic imports', () => {
    const imports = readImports(
      sources({
        'a.ts':
          "import type { B } from './folder/b.ts'\nexport { c } from './c.ts'\nexport * from './d.ts'\n",
        'folder/b.ts': "export type B = import('../c.ts').C\nimport 'kysely'\n",
        'c.ts': "export const c = () => import('./d.ts')\nexport type C = string\n",
        'd.ts': '',
      }),
    )
    expect(Object.fromEntries([...imports].map(([file, targets]) => [file, [...targets].sort()]))).toEqual({
      'a.ts': ['c.ts', 'd.ts', 'folder/b.ts'],
      'folder/b.ts': ['c.ts'],
      'c.ts': ['d.ts'],
      'd.ts': [],
    })
  })

  test('finds circles of files and of folders', () => {
    const imports = readImports(
      sources({
        'x/a.ts': "import '../y/b.ts'",
        'x/c.ts': '',
        'y/b.ts': '',
        'y/d.ts': "import '../x/c.ts'",
        'e.ts': "import type { F } from './f.ts'",
        'f.ts': "import './e.ts'\nexport type F = 1",
      }),
    )
    expect(findCircles(imports)).toEqual([['e.ts', 'f.ts']])
    expect(findCircles(readFolderImports(imports))).toEqual([
      ['x', 'y'],
      ['e.ts', 'f.ts'],
    ])
  })

  test('finds an import of a higher or the same layer, a file without a layer and a layer without a file', () => {
    const imports = readImports(
      sources({
        'low/a.ts': "import '../high.ts'",
        'low/own.ts': "import './a.ts'",
        'beside.ts': "import './low/a.ts'",
        'high.ts': "import './low/a.ts'",
        'other.ts': '',
      }),
    )
    expect(
      findUpwardImports(imports, [
        ['low', 'beside.ts'],
        ['high.ts', 'gone.ts'],
      ]),
    ).toEqual([
      'gone.ts has a layer but no file',
      'low/a.ts imports high.ts, which is not below it',
      'beside.ts imports low/a.ts, which is not below it',
      'other.ts has no layer',
    ])
  })

  test('finds long files and functions, long parameter lists and positional booleans, except tables', () => {
    const long = `export const table = {\n  build(a: number, b: number, c: number, d: number, e = true) {\n${'    void 0\n'.repeat(260)}  },\n}\n`
    expect(findOversized('core', sources({ 'a.ts': long }))).toEqual([
      'packages/core/src/a.ts has 264 lines, more than 250',
      'packages/core/src/a.ts:2 build has 262 lines, more than 100',
      'packages/core/src/a.ts:2 build takes 5 positional parameters, more than 4',
      'packages/core/src/a.ts:2 build takes the boolean e by position',
    ])
    const tables = { 'packages/core/src/a.ts': 'a table', 'packages/core/src/a.ts build': 'a table' }
    expect(findOversized('core', sources({ 'a.ts': long }), tables)).toHaveLength(2)
    expect(findOversized('core', sources({ 'b.ts': 'export type F = (open: boolean) => void' }))).toEqual([])
  })
})

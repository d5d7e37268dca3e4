// Checks the imports and sizes of packages/*/src against structure.ts, and prints the layers in docs/architecture.md:
//   pnpm exec node scripts/check-structure.ts [--write]
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseSync } from 'oxc-parser'
import { FILE_LINES, FUNCTION_LINES, LAYERS, POSITIONAL_PARAMETERS, TABLES } from './structure.ts'

/** The source files of one package, by path relative to its `src`. */
export type Sources = ReadonlyMap<string, string>

const root = fileURLToPath(new URL('../', import.meta.url))
const PAGE = 'docs/architecture.md'
const MARKERS = ['<!-- layers -->', '<!-- /layers -->'] as const

/** The packages of the workspace, in order. */
export function listPackages(): string[] {
  return readdirSync(join(root, 'packages')).sort()
}

export function readSources(packageName: string): Sources {
  const folder = join(root, 'packages', packageName, 'src')
  return new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .sort()
      .map((file) => [file.replaceAll('\\', '/'), readFileSync(join(folder, file), 'utf8')]),
  )
}

/** Which files of the package each file imports or re-exports, types included. */
export function readImports(sources: Sources): Map<string, Set<string>> {
  const imports = new Map<string, Set<string>>()
  for (const [file, text] of sources) {
    const { module, errors } = parseSync(file, text)
    if (errors[0] !== undefined) throw new Error(`${file} cannot be parsed: ${errors[0].message}`)
    const specifiers = [
      ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
      ...module.staticExports.flatMap(({ entries }) => entries.map((entry) => entry.moduleRequest?.value)),
      ...module.dynamicImports.map(
        ({ moduleRequest }) => /^['"](.*)['"]$/.exec(text.slice(moduleRequest.start, moduleRequest.end))?.[1],
      ),
      // A type in place: `import('./file.ts').Name`.
      ...Array.from(text.matchAll(/\bimport\('(\.[^']+)'\)/g), ([, specifier]) => specifier),
    ]
    imports.set(
      file,
      new Set(
        specifiers
          .filter((specifier) => specifier?.startsWith('.'))
          .map((specifier) => posix.join(posix.dirname(file), specifier as string))
          .filter((target) => target !== file && sources.has(target)),
      ),
    )
  }
  return imports
}

/** The groups of files that import each other in a circle, each sorted. */
export function findCircles(imports: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: string[] = []
  const circles: string[][] = []
  const visit = (file: string): number => {
    order.set(file, order.size)
    lowest.set(file, order.get(file) as number)
    stack.push(file)
    for (const target of imports.get(file) ?? []) {
      const reached = order.has(target)
        ? stack.includes(target)
          ? (order.get(target) as number)
          : undefined
        : visit(target)
      if (reached !== undefined) lowest.set(file, Math.min(lowest.get(file) as number, reached))
    }
    const low = lowest.get(file) as number
    if (low === order.get(file)) {
      const circle = stack.splice(stack.indexOf(file))
      if (circle.length > 1) circles.push(circle.sort())
    }
    return low
  }
  for (const file of imports.keys()) if (!order.has(file)) visit(file)
  return circles.sort((a, b) => b.length - a.length)
}

/** The same graph between folders: each folder stands for the files directly in it. A file of `src` itself stands for itself. */
export function readFolderImports(
  imports: ReadonlyMap<string, ReadonlySet<string>>,
): Map<string, Set<string>> {
  const folders = new Map<string, Set<string>>()
  for (const [file, targets] of imports) {
    const folder = folderName(file)
    const known = folders.get(folder) ?? new Set()
    for (const target of targets) if (folderName(target) !== folder) known.add(folderName(target))
    folders.set(folder, known)
  }
  return folders
}

/** Every import that does not lead to its own entry or to a lower layer, and every file that has no layer. */
export function findUpwardImports(
  imports: ReadonlyMap<string, ReadonlySet<string>>,
  layers: readonly (readonly string[])[],
): string[] {
  const heights = new Map(
    layers.flatMap((entries, height) => entries.map((entry) => [entry, height] as const)),
  )
  const problems: string[] = []
  for (const entry of heights.keys()) {
    const exists = [...imports.keys()].some((file) => entryName(file) === entry)
    if (!exists) problems.push(`${entry} has a layer but no file`)
  }
  for (const [file, targets] of imports) {
    const height = heights.get(entryName(file))
    if (height === undefined) problems.push(`${file} has no layer`)
    for (const target of targets) {
      const targetHeight = heights.get(entryName(target))
      if (height === undefined || targetHeight === undefined || entryName(file) === entryName(target))
        continue
      if (targetHeight >= height) problems.push(`${file} imports ${target}, which is not below it`)
    }
  }
  return problems
}

/** The files and functions over the limits, and the functions that take a positional boolean. */
export function findOversized(
  packageName: string,
  sources: Sources,
  tables: Readonly<Record<string, string>> = TABLES,
): string[] {
  const problems: string[] = []
  for (const [file, text] of sources) {
    const path = `packages/${packageName}/src/${file}`
    const lines = text.trimEnd().split('\n').length
    if (lines > FILE_LINES && tables[path] === undefined)
      problems.push(`${path} has ${lines} lines, more than ${FILE_LINES}`)
    for (const { name, line, length, parameters, booleans } of readFunctions(file, text)) {
      if (length > FUNCTION_LINES && tables[`${path} ${name}`] === undefined) {
        problems.push(`${path}:${line} ${name} has ${length} lines, more than ${FUNCTION_LINES}`)
      }
      if (parameters > POSITIONAL_PARAMETERS) {
        problems.push(
          `${path}:${line} ${name} takes ${parameters} positional parameters, more than ${POSITIONAL_PARAMETERS}`,
        )
      }
      for (const parameter of booleans)
        problems.push(`${path}:${line} ${name} takes the boolean ${parameter} by position`)
    }
  }
  return problems
}

interface FunctionShape {
  readonly name: string
  readonly line: number
  readonly length: number
  readonly parameters: number
  /** Parameters that are declared boolean. */
  readonly booleans: readonly string[]
}

interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [key: string]: unknown
}

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'])

function readFunctions(file: string, text: string): FunctionShape[] {
  const functions: FunctionShape[] = []
  const lineNumber = (at: number) => text.slice(0, at).split('\n').length
  const visit = (node: Node, name: string): void => {
    if (FUNCTIONS.has(node.type) && node.body !== null) {
      const parameters = node.params as Node[]
      const ownName = (node.id as { name: string } | null)?.name ?? name
      const line = lineNumber(node.start)
      functions.push({
        name: ownName,
        line,
        length: lineNumber(node.end) - line + 1,
        parameters: parameters.filter(({ name }) => name !== 'this').length,
        booleans: parameters.filter(isBoolean).map((parameter) => nameParameter(parameter)),
      })
    }
    const nameBelow = nameValue(node) ?? name
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? value : [value]) {
        if (typeof child === 'object' && child !== null && 'type' in child) visit(child as Node, nameBelow)
      }
    }
  }
  visit(parseSync(file, text).program as unknown as Node, '(anonymous)')
  return functions
}

/** The name that a declaration, property or assignment gives to the function it holds. */
function nameValue(node: Node): string | undefined {
  const key = (node.type === 'VariableDeclarator' ? node.id : (node.key ?? undefined)) as
    | { name?: string }
    | undefined
  if (key?.name !== undefined) return key.name
  return FUNCTIONS.has(node.type) ? (node.id as { name: string } | null)?.name : undefined
}

function isBoolean(parameter: Node): boolean {
  const target = (parameter.type === 'AssignmentPattern' ? parameter.left : parameter) as Node
  const annotation = (target.typeAnnotation as { typeAnnotation: Node } | null | undefined)?.typeAnnotation
  const fallback =
    parameter.type === 'AssignmentPattern' ? (parameter.right as { value?: unknown }).value : undefined
  return annotation?.type === 'TSBooleanKeyword' || typeof fallback === 'boolean'
}

function nameParameter(parameter: Node): string {
  const target = (parameter.type === 'AssignmentPattern' ? parameter.left : parameter) as { name?: string }
  return target.name ?? '(pattern)'
}

/** The first folder of a path, or the file itself. */
function entryName(file: string): string {
  return file.split('/')[0] ?? file
}

function folderName(file: string): string {
  return file.includes('/') ? dirname(file) : file
}

/** The layers as docs/architecture.md prints them: the top one first. */
export function printLayers(layers: typeof LAYERS = LAYERS): string {
  const blocks = Object.entries(layers).map(([name, entries]) => {
    const lines = entries.map(
      (layer) => `  ${layer.map((entry) => (entry.endsWith('.ts') ? entry : `${entry}/`)).join('  ')}`,
    )
    return `${name}\n${lines.reverse().join('\n')}`
  })
  return `\`\`\`text\n${blocks.join('\n\n')}\n\`\`\``
}

/** The page with the current layers between its markers. */
export function withLayers(page: string, printed: string = printLayers()): string {
  const [before, rest] = page.split(`${MARKERS[0]}\n`)
  const after = rest?.split(MARKERS[1])[1]
  if (before === undefined || after === undefined)
    throw new Error(`${PAGE} has no ${MARKERS.join(' ')} markers`)
  return `${before}${MARKERS[0]}\n\n${printed}\n\n${MARKERS[1]}${after}`
}

/** All problems of one package. */
export function checkPackage(packageName: string): {
  readonly direction: string[]
  readonly limits: string[]
} {
  const sources = readSources(packageName)
  const imports = readImports(sources)
  const describe = (kind: string) => (circle: string[]) =>
    `${packageName}: circle of ${circle.length} ${kind}: ${circle.join(' ')}`
  const layers = LAYERS[packageName]
  return {
    direction: [
      ...findCircles(imports).map(describe('files')),
      ...findCircles(readFolderImports(imports)).map(describe('folders')),
      ...(layers === undefined ? [] : findUpwardImports(imports, layers)).map(
        (problem) => `${packageName}: ${problem}`,
      ),
    ],
    limits: findOversized(packageName, sources),
  }
}

function main(args: readonly string[]): void {
  const path = join(root, PAGE)
  const page = readFileSync(path, 'utf8')
  if (args.includes('--write')) {
    writeFileSync(path, withLayers(page))
    return
  }
  const problems = listPackages().flatMap((name) => Object.values(checkPackage(name)).flat())
  if (withLayers(page) !== page)
    problems.push(`${PAGE} has other layers: run scripts/check-structure.ts --write`)
  for (const problem of problems) console.log(problem)
  if (problems.length > 0) process.exitCode = 1
}

if (argv[1] === fileURLToPath(import.meta.url)) main(argv.slice(2))

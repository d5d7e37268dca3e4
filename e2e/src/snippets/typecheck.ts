import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { linkPackages } from './link-packages.ts'
import type { Snippet } from './markdown.ts'

const e2e = new URL('../../', import.meta.url).pathname

/** Names a snippet: a name is unique in its file. */
export type SnippetName = Pick<Snippet, 'file' | 'name'>

export interface SnippetFolder {
  /** The path of a snippet's file, where the packages of the workspace resolve. */
  path(snippet: SnippetName): string
  /** The compiler's errors in a snippet, at their places in the text. */
  errors(snippet: SnippetName): string[]
  remove(): void
}

/** Writes snippets as modules below e2e: one folder for each text, so that its snippets may import each other. */
export function writeSnippets(
  snippets: readonly Snippet[],
  compilerOptions: Record<string, unknown> = {},
): SnippetFolder {
  mkdirSync(join(e2e, '.snippets'), { recursive: true })
  const folder = mkdtempSync(join(e2e, '.snippets/run-'))
  const path = (snippet: SnippetName): string => join(folder, `${snippetPath(snippet)}.ts`)
  const config = {
    extends: '../../../tsconfig.base.json',
    compilerOptions: { isolatedDeclarations: false, declaration: false, ...compilerOptions },
    include: ['**/*.ts'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  linkPackages(join(folder, 'node_modules'))
  for (const snippet of snippets) {
    mkdirSync(dirname(path(snippet)), { recursive: true })
    writeFileSync(path(snippet), toModule(snippet))
  }
  let errors: ReadonlyMap<string, string[]> | undefined
  return {
    path,
    errors(snippet) {
      errors ??= groupErrors(compile(folder), snippets)
      return errors.get(snippetPath(snippet)) ?? []
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** The module text of a snippet: its prelude, then its code. */
export function toModule({ prelude, code }: Pick<Snippet, 'prelude' | 'code'>): string {
  return `${prelude === '' ? '' : `${prelude}\n`}${code}\nexport {}\n`
}

function compile(folder: string): string {
  const { stdout, stderr, status, error } = spawnSync(
    join(e2e, 'node_modules/.bin/tsc'),
    ['-p', folder, '--pretty', 'false'],
    { cwd: folder, encoding: 'utf8' },
  )
  if (error !== undefined) throw error
  // A compiler that failed to run must not count as one that reports no error.
  if (stderr !== '' || (status !== 0 && !/error TS/.test(stdout))) throw new Error(`tsc: ${stderr}${stdout}`)
  return stdout
}

function groupErrors(output: string, snippets: readonly Snippet[]): Map<string, string[]> {
  const groups = new Map(snippets.map((snippet) => [snippetPath(snippet), [] as string[]]))
  let last: string[] | undefined
  for (const text of output.split('\n').filter((line) => line !== '')) {
    const [, path, line, message] = /^([\w/-]+)\.ts\((\d+),\d+\): (.*)$/.exec(text) ?? []
    if (path === undefined || line === undefined || message === undefined) {
      // An indented line continues the error before it; any other line is about no snippet.
      if (!text.startsWith(' ') || last === undefined) throw new Error(`tsc: ${output}`)
      last.push(text)
      continue
    }
    last = groups.get(path)
    const snippet = snippets.find((candidate) => snippetPath(candidate) === path)
    if (last === undefined || snippet === undefined) throw new Error(`tsc: ${output}`)
    last.push(`${describePlace(snippet, Number(line))} ${message}`)
  }
  return groups
}

/** `docs/catalog.md` and `app` become `docs-catalog/app`. */
function snippetPath({ file, name }: SnippetName): string {
  return `${file.replace(/\.(?:md|txt)$/, '').replace(/\W+/g, '-')}/${name}`
}

function describePlace({ file, line: start, prelude }: Snippet, line: number): string {
  const before = prelude === '' ? 0 : prelude.split('\n').length
  return line <= before ? `${file}:${start} (prelude, line ${line})` : `${file}:${start + line - before - 1}`
}

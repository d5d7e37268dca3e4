import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Snippet } from './markdown.ts'

const e2e = new URL('../../', import.meta.url).pathname

export interface SnippetFolder {
  /** The path of a snippet's file, where the packages of the workspace resolve. */
  path(name: string): string
  /** What the compiler says of each snippet, at its place in the text. */
  errors(): ReadonlyMap<string, string[]>
  remove(): void
}

/** Writes snippets as modules into a folder of their own inside e2e. */
export function writeSnippets(
  snippets: readonly Snippet[],
  compilerOptions: Record<string, unknown> = {},
): SnippetFolder {
  mkdirSync(join(e2e, '.snippets'), { recursive: true })
  const folder = mkdtempSync(join(e2e, '.snippets/run-'))
  const path = (name: string): string => join(folder, `${name}.ts`)
  const config = {
    extends: '../../../tsconfig.base.json',
    compilerOptions: { isolatedDeclarations: false, declaration: false, ...compilerOptions },
    include: ['*.ts'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  for (const snippet of snippets) writeFileSync(path(snippet.name), moduleOf(snippet))
  return {
    path,
    errors: () => errorsByName(compile(folder), snippets),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** The module of a snippet: its prelude, then its code. */
export function moduleOf({ prelude, code }: Pick<Snippet, 'prelude' | 'code'>): string {
  return `${prelude === '' ? '' : `${prelude}\n`}${code}\nexport {}\n`
}

function compile(folder: string): string {
  const { stdout, stderr, status, error } = spawnSync(
    join(e2e, 'node_modules/.bin/tsc'),
    ['-p', folder, '--pretty', 'false'],
    { cwd: folder, encoding: 'utf8' },
  )
  if (error !== undefined) throw error
  // A compiler that did not compile must not look like one that found nothing.
  if (stderr !== '' || (status !== 0 && !/error TS/.test(stdout))) throw new Error(`tsc: ${stderr}${stdout}`)
  return stdout
}

function errorsByName(output: string, snippets: readonly Snippet[]): Map<string, string[]> {
  const byName = new Map(snippets.map((snippet) => [snippet.name, [] as string[]]))
  let last: string[] | undefined
  for (const text of output.split('\n').filter((line) => line !== '')) {
    const [, name, line, message] = /^([\w-]+)\.ts\((\d+),\d+\): (.*)$/.exec(text) ?? []
    if (name === undefined || line === undefined || message === undefined) {
      // A line further in explains the one before; anything else is about no snippet.
      if (!text.startsWith(' ') || last === undefined) throw new Error(`tsc: ${output}`)
      last.push(text)
      continue
    }
    last = byName.get(name)
    const snippet = snippets.find((one) => one.name === name)
    if (last === undefined || snippet === undefined) throw new Error(`tsc: ${output}`)
    last.push(`${placeOf(snippet, Number(line))} ${message}`)
  }
  return byName
}

function placeOf({ file, line: start, prelude }: Snippet, line: number): string {
  const before = prelude === '' ? 0 : prelude.split('\n').length
  return line <= before ? `${file}:${start} (prelude, line ${line})` : `${file}:${start + line - before - 1}`
}

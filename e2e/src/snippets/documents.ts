import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { markdownSnippets, type Snippet } from './markdown.ts'

export const root: string = new URL('../../../', import.meta.url).pathname

/** The texts whose snippets are checked. */
export function documents(): string[] {
  return ['README.md', ...globSync(['docs/**/*.md', 'packages/*/README.md'], { cwd: root }).sort()]
}

/** Every snippet of every text. */
export function documentSnippets(): Snippet[] {
  const snippets = documents().flatMap((file) =>
    markdownSnippets(file, readFileSync(join(root, file), 'utf8')),
  )
  const names = snippets.map(({ file, name }) => `${file}: ${name}.ts`)
  const duplicate = names.find((name, at) => names.indexOf(name) !== at)
  if (duplicate !== undefined) throw new Error(`Two snippets have the same name: ${duplicate}`)
  return snippets
}

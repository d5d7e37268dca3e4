import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { markdownSnippets, type Snippet } from './markdown.ts'

export const root: string = new URL('../../../', import.meta.url).pathname

/** The texts whose snippets are checked. */
export function documents(): string[] {
  return ['README.md', ...globSync(['docs/*.md', 'packages/*/README.md'], { cwd: root }).sort()]
}

/** Every snippet of every text. */
export function documentSnippets(): Snippet[] {
  const snippets = documents().flatMap((file) =>
    markdownSnippets(file, readFileSync(join(root, file), 'utf8')),
  )
  const names = snippets.map(({ name }) => name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) throw new Error(`Two snippets are called ${twice}`)
  return snippets
}

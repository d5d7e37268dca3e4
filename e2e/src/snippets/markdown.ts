/** A piece of TypeScript from a text, as a module of its own. */
export interface Snippet {
  /** Unique; the name of its file without `.ts`. */
  readonly name: string
  /** Where it stands, relative to the repository, and the line of its first line of code. */
  readonly file: string
  readonly line: number
  readonly code: string
  /** What the text leaves open: declarations, put before the code. */
  readonly prelude: string
  /** It is a whole program: start it, too. */
  readonly run: boolean
}

const OPENING = /^<!-- snippet: ([\w-]+)\.ts( run)?(?: -->)?$/

/**
 * The `ts` snippets of a Markdown text. A comment right before one names it, says `run`, and may hold its prelude:
 *
 * ```md
 * <!-- snippet: name.ts
 * declare const factory: TenantFactory
 * -->
 * ```
 */
export function markdownSnippets(file: string, text: string): Snippet[] {
  const lines = text.split('\n')
  const snippets: Snippet[] = []
  let head: { name: string; run: boolean; prelude: string } | undefined
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    const opening = OPENING.exec(line)
    const place = `${file}:${at + 1}`
    if (opening !== null) {
      const from = at + 1
      if (!line.endsWith('-->')) at = indexOf(lines, '-->', from, place)
      head = {
        name: opening[1] ?? '',
        run: opening[2] !== undefined,
        prelude: lines.slice(from, at).join('\n'),
      }
    } else if (line === '```ts') {
      const end = indexOf(lines, '```', at + 1, place)
      const name = head?.name ?? `${file.replace(/\.md$/, '').replace(/\W+/g, '-')}-${snippets.length + 1}`
      const { run = false, prelude = '' } = head ?? {}
      snippets.push({ name, file, line: at + 2, code: lines.slice(at + 1, end).join('\n'), prelude, run })
      head = undefined
      at = end
    } else if (/^\s*(?:```|~~~)\s*(?:ts|tsx|typescript)\b/.test(line)) {
      throw new Error(`${place}: write a snippet as \`\`\`ts at the start of a line, else it goes unchecked`)
    } else if (line.startsWith('```')) {
      at = indexOf(lines, '```', at + 1, place)
    } else if (line.includes('<!-- snippet')) throw new Error(`${place}: write <!-- snippet: name.ts -->`)
    else if (head !== undefined && line !== '')
      throw new Error(`${place}: the comment before names no snippet`)
  }
  return snippets
}

/** What the comment lines at the end of a program say it prints. */
export function lastComment(code: string): string {
  const lines = code.trimEnd().split('\n')
  const from = lines.findLastIndex((line) => !line.startsWith('// '))
  return lines
    .slice(from + 1)
    .map((line) => line.slice(3))
    .join('\n')
}

function indexOf(lines: readonly string[], wanted: string, from: number, place: string): number {
  const at = lines.indexOf(wanted, from)
  if (at === -1) throw new Error(`${place}: nothing closes it`)
  return at
}

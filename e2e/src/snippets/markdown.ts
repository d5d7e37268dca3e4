/** A `ts` block of a text: one module. The blocks of one text may import each other by `./name.ts`. */
export interface Snippet {
  /** The name of its file without `.ts`; unique in its text. */
  readonly name: string
  /** The text's path in the repository, and the line of the first line of code. */
  readonly file: string
  readonly line: number
  readonly code: string
  /** Declarations that are not part of the text, put before the code: for the specification's snippets only. */
  readonly prelude: string
  /** The block is a whole program, which is also started. */
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
      if (!line.endsWith('-->')) at = findLine(lines, '-->', from, place)
      head = {
        name: opening[1] ?? '',
        run: opening[2] !== undefined,
        prelude: lines.slice(from, at).join('\n'),
      }
    } else if (line === '```ts') {
      const end = findLine(lines, '```', at + 1, place)
      const name = head?.name ?? `${file.replace(/\.md$/, '').replace(/\W+/g, '-')}-${snippets.length + 1}`
      const { run = false, prelude = '' } = head ?? {}
      snippets.push({ name, file, line: at + 2, code: lines.slice(at + 1, end).join('\n'), prelude, run })
      head = undefined
      at = end
    } else if (/^\s*(?:```|~~~)\s*(?:ts|tsx|typescript)\b/.test(line)) {
      throw new Error(`${place}: write a snippet as \`\`\`ts at the start of a line, else it goes unchecked`)
    } else if (line.startsWith('```')) {
      at = findLine(lines, '```', at + 1, place)
    } else if (line.includes('<!-- snippet')) throw new Error(`${place}: write <!-- snippet: name.ts -->`)
    else if (head !== undefined && line !== '')
      throw new Error(`${place}: the comment before names no snippet`)
  }
  return snippets
}

/** The output that the comment lines at the end of a program announce. */
export function lastComment(code: string): string {
  const lines = code.trimEnd().split('\n')
  const from = lines.findLastIndex((line) => !line.startsWith('// '))
  return lines
    .slice(from + 1)
    .map((line) => line.slice(3))
    .join('\n')
}

function findLine(lines: readonly string[], wanted: string, from: number, place: string): number {
  const at = lines.indexOf(wanted, from)
  if (at === -1) throw new Error(`${place}: the block or comment has no end`)
  return at
}

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './documents.ts'

/** The specification lies beside the checkout and is not part of it. */
export const SPEC: string = join(root, '../shared/spec/database-isolation.txt')

export interface SpecSnippet {
  /** The heading above it. */
  readonly heading: string
  readonly line: number
  /** Its text, importing our packages. */
  readonly code: string
}

export function specificationIsHere(): boolean {
  return existsSync(SPEC)
}

/** The snippets of the specification, in order, with our package names. */
export function specificationSnippets(text: string = readFileSync(SPEC, 'utf8')): SpecSnippet[] {
  const lines = text.split('\n')
  const snippets: SpecSnippet[] = []
  let heading = ''
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    if (line !== 'typescript') {
      if (/^\S.{3,38}[^.:]$/.test(line)) heading = line.replace(/^\d+\. /, '')
      continue
    }
    const end = findEnd(lines, at + 1)
    const code = lines
      .slice(at + 1, end)
      .join('\n')
      .trimEnd()
    snippets.push({ heading, line: at + 2, code: ours(code) })
    at = end - 1
  }
  return snippets
}

function ours(code: string): string {
  return code
    .replaceAll('@authhero/multi-tenancy', '@tenantry/multi-tenancy')
    .replaceAll('@authhero/cloudflare', '@tenantry/d1')
}

/** A snippet has no end mark: it ends at the first blank line outside all brackets that no code follows. */
function findEnd(lines: readonly string[], from: number): number {
  let depth = 0
  for (let at = from; at < lines.length; at++) {
    const line = lines[at] ?? ''
    if (
      line === '' &&
      depth === 0 &&
      !/^(?:\/\/|(?:app|async|const|function|import|interface)\b)/.test(lines[at + 1] ?? '')
    )
      return at
    for (const [bracket] of line.replace(/\/\/.*$|`[^`]*`|"[^"]*"/g, '').matchAll(/[([{}\])]/g)) {
      depth += '([{'.includes(bracket) ? 1 : -1
    }
  }
  return lines.length
}

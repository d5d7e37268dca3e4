// Writes the table of error codes into the READMEs:  pnpm exec node scripts/error-table.ts [--check]
import { readFileSync, writeFileSync } from 'node:fs'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { ERROR_CODES } from '../packages/multi-tenancy/src/errors.ts'
import { formatTable, replaceTable } from './doc-tables.ts'
import { SENTENCES } from './error-sentences.ts'

export const ERROR_TABLE_FILES: readonly string[] = ['README.md', 'packages/multi-tenancy/README.md']
const root = new URL('../', import.meta.url)
const HEADER = ['code', 'status', 'when', 'try again']

/** The table in Markdown, its columns aligned. Throws when a code has no sentence, or a sentence no code. */
export function errorTable(
  codes: Readonly<Record<string, { status: number; retryable: boolean }>> = ERROR_CODES,
  sentences: Readonly<Record<string, string>> = SENTENCES,
): string {
  const without = Object.keys(codes).filter((code) => !sentences[code])
  const extra = Object.keys(sentences).filter((code) => !(code in codes))
  if (without.length > 0) throw new Error(`scripts/error-sentences.ts says nothing of ${without.join(', ')}`)
  if (extra.length > 0) throw new Error(`scripts/error-sentences.ts has no such code: ${extra.join(', ')}`)
  const rows = Object.entries(codes).map(([code, { status, retryable }]) => {
    return [`\`${code}\``, String(status), sentences[code] ?? '', retryable ? 'yes' : 'no']
  })
  return formatTable(HEADER, rows)
}

/** `text` with the table between its markers. Throws when it has none. */
export function withErrorTable(text: string, table: string = errorTable()): string {
  return replaceTable(text, 'errors', table)
}

/** The files whose table is not up to date. */
export function staleErrorTables(): string[] {
  return ERROR_TABLE_FILES.filter((file) => {
    const text = readFileSync(new URL(file, root), 'utf8')
    return withErrorTable(text) !== text
  })
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const stale = staleErrorTables()
  if (argv.includes('--check')) {
    if (stale.length > 0) throw new Error(`Out of date, run scripts/error-table.ts: ${stale.join(', ')}`)
  } else {
    for (const file of stale) {
      writeFileSync(new URL(file, root), withErrorTable(readFileSync(new URL(file, root), 'utf8')))
    }
  }
}

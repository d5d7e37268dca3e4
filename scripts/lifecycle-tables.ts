// Writes the tables of a tenant's life into docs/catalog.md:  pnpm exec node scripts/lifecycle-tables.ts [--check]
import { readFileSync, writeFileSync } from 'node:fs'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { PLANS } from '../packages/multi-tenancy/src/database/plans.ts'
import { OPERATIONS, TRANSITIONS } from '../packages/multi-tenancy/src/lifecycle/transitions.ts'
import { formatTable, replaceTable } from './doc-tables.ts'

const page = new URL('../docs/catalog.md', import.meta.url)

/** Which steps each operation runs. */
export function planTable(): string {
  const rows = Object.entries(PLANS)
    .filter(([plan]) => plan !== 'destroy')
    .map(([plan, steps]) => [plan, steps.join(' → ')])
  return formatTable(['operation', 'steps'], rows)
}

/** What each operation does in each situation. */
export function transitionTable(): string {
  const rows = Object.entries(TRANSITIONS).map(([situation, transitions]) => [
    situation,
    ...OPERATIONS.map((operation) => transitions[operation].replace(/^tenant_(\w+)$/, '`tenant_$1`')),
  ])
  return formatTable(['tenant is', ...OPERATIONS], rows)
}

/** The page with both tables as the code has them. */
export function withLifecycleTables(text: string): string {
  return replaceTable(replaceTable(text, 'plans', planTable()), 'transitions', transitionTable())
}

export function isStale(): boolean {
  const text = readFileSync(page, 'utf8')
  return withLifecycleTables(text) !== text
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  if (!argv.includes('--check')) writeFileSync(page, withLifecycleTables(readFileSync(page, 'utf8')))
  else if (isStale()) throw new Error('docs/catalog.md is out of date: run scripts/lifecycle-tables.ts')
}

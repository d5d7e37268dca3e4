import { configError, TenancyError, type TenancyErrorCode } from '../../errors.ts'
import type { Dialect } from '../../types/provider.ts'
import { leadingKeyword, splitStatements } from '../../util/sql-split.ts'
import type { LoadedMigration } from './define.ts'
import type { Journal, JournalRow } from './journal.ts'
import type { Session } from './lock.ts'

/** A migration still to be run, or to be finished. */
export interface Step extends LoadedMigration {
  /** Of `.sql` text; `undefined` for a Kysely migration, which counts as one statement. */
  readonly statements: readonly string[] | undefined
  readonly total: number
  /** Where an earlier run left off, if one began it. */
  readonly row: JournalRow | undefined
  /** `batch` and `transaction` happen as a whole or not at all; `journal` is written down step by step. */
  readonly mode: 'batch' | 'transaction' | 'journal'
}

export interface Plan {
  readonly steps: readonly Step[]
  /** Set when the journal shows an unfinished migration: another runner at work or, if none is, a dirty database. */
  readonly dirty: TenancyError | undefined
}

/**
 * Compares code and journal.
 *
 * @throws `migration_changed`; `migration_missing` for an applied migration that the code does not have, and for a
 * pending one ordered before an applied one (the database misses it); `config_invalid`
 */
export function planSteps<Client>(
  migrations: readonly LoadedMigration[],
  { rows }: Journal,
  session: Session<Client>,
): Plan {
  const { tenantId, allowUnordered } = session
  const error = (code: TenancyErrorCode, step: string, problem: string): TenancyError =>
    new TenancyError(code, `Migration ${step} ${problem}`, { tenantId, step })
  let dirty: TenancyError | undefined
  const soil = ({ name, state, statement }: JournalRow, place = `statement ${statement + 1}`): void => {
    const fate = state === 'failed' ? 'failed' : 'may or may not be done'
    dirty ??= error('migration_dirty', name, `was left half applied: ${place} ${fate}`)
  }

  let last = ''
  const names = new Set(migrations.map(({ name }) => name))
  for (const row of rows.values()) {
    const { name, state, statement } = row
    if (state === 'done' && name > last) last = name
    // One that never began may go again.
    if (names.has(name) || (state === 'paused' && statement === 0)) continue
    if (state === 'done') throw error('migration_missing', name, 'was applied, but the code does not have it')
    soil(row)
  }

  const steps: Step[] = []
  for (const migration of migrations) {
    const { name, checksum } = migration
    const row = rows.get(name)
    const changed = !!row?.checksum && checksum !== null && row.checksum !== checksum
    if (row?.state !== 'done') {
      if (name < last && !allowUnordered)
        throw error('migration_missing', name, `is not applied, but ${last} is`)
      const step = stepOf(migration, row, session)
      steps.push(step)
      if (row === undefined || (row.state === 'paused' && row.statement === 0)) continue
      const finished = row.state === 'started' && row.statement >= step.total && !changed
      if (row.state !== 'paused' && !finished) {
        soil(row, placeOf(step, row.statement))
        continue
      }
    }
    if (changed) throw error('migration_changed', name, 'was changed after it was applied')
  }
  return { steps, dirty }
}

function stepOf<Client>(
  migration: LoadedMigration,
  row: JournalRow | undefined,
  { provider: { capabilities } }: Session<Client>,
): Step {
  const { name, sql, transaction } = migration
  const { dialect, transactions, transactionalDdl } = capabilities
  const statements = sql === undefined ? undefined : statementsIn(name, sql, dialect)
  const whole = transactionalDdl && transaction && row === undefined
  const mode = !whole ? 'journal' : statements ? 'batch' : transactions ? 'transaction' : 'journal'
  return { ...migration, statements, total: statements?.length ?? 1, row, mode }
}

/** @throws `config_invalid` for a statement that would end the transaction which holds the bookkeeping */
export function statementsIn(name: string, sql: string, dialect: Dialect): string[] {
  const statements = splitStatements(sql, dialect)
  for (const text of statements) {
    const keyword = leadingKeyword(text, dialect)
    if (/^(BEGIN|START|COMMIT|END|ROLLBACK|ABORT)$/.test(keyword))
      throw configError('migrations', `${keyword} in ${name}: the runner makes the transaction`)
  }
  return statements
}

/** Names what comes after `statement` statements. */
export function placeOf(
  { statements, total }: Pick<Step, 'statements' | 'total'>,
  statement: number,
): string {
  return statements ? `statement ${statement + 1} of ${total}` : 'up()'
}

import { TenancyError, type TenancyErrorCode } from '../../errors.ts'
import type { MigrationStatements } from '../../types/migration-sql.ts'
import type { TenantProvider } from '../../types/provider.ts'
import type { LoadedMigration } from './define.ts'
import type { Journal, JournalRow } from './journal.ts'
import type { Session } from './lock.ts'

/** A migration still to be run, or to be finished. */
export interface Step extends LoadedMigration, Pick<MigrationStatements, 'foreignKeysOff' | 'settings'> {
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
  const noteDirty = (
    { name, state, statement }: JournalRow,
    position = `statement ${statement + 1}`,
  ): void => {
    const fate = state === 'failed' ? 'failed' : 'may or may not be done'
    dirty ??= error('migration_dirty', name, `was left half applied: ${position} ${fate}`)
  }

  let last = ''
  const names = new Set(migrations.map(({ name }) => name))
  for (const row of rows.values()) {
    const { name, state, statement } = row
    if (state === 'done' && name > last) last = name
    // One that never began may be run again.
    if (names.has(name) || (state === 'paused' && statement === 0)) continue
    if (state === 'done') throw error('migration_missing', name, 'was applied, but the code does not have it')
    noteDirty(row)
  }

  const steps: Step[] = []
  for (const migration of migrations) {
    const { name, checksum } = migration
    const row = rows.get(name)
    const changed = !!row?.checksum && checksum !== null && row.checksum !== checksum
    if (row?.state !== 'done') {
      if (name < last && !allowUnordered)
        throw error('migration_missing', name, `is not applied, but ${last} is`)
      const step = createStep(migration, row, session.provider)
      steps.push(step)
      if (row === undefined || (row.state === 'paused' && row.statement === 0)) continue
      const finished = row.state === 'started' && row.statement >= step.total && !changed
      if (row.state !== 'paused' && !finished) {
        noteDirty(row, describePosition(step, row.statement))
        continue
      }
    }
    if (changed) throw error('migration_changed', name, 'was changed after it was applied')
  }
  return { steps, dirty }
}

/** @throws `config_invalid` for a statement that cannot have its effect where it stands */
export function createStep(
  migration: LoadedMigration,
  row: JournalRow | undefined,
  {
    capabilities: { transactions, transactionalDdl },
    migrationSql,
  }: Pick<TenantProvider<never>, 'capabilities' | 'migrationSql'>,
): Step {
  const { name, sql, transaction } = migration
  const atomic = transactionalDdl && transaction && row === undefined
  if (sql === undefined) {
    const mode = atomic && transactions ? 'transaction' : 'journal'
    return {
      ...migration,
      statements: undefined,
      foreignKeysOff: false,
      settings: [],
      total: 1,
      row,
      mode,
    }
  }
  const scope = atomic ? 'transaction' : transactionalDdl ? 'nothing' : 'session'
  const read = migrationSql.readStatements(name, sql, scope)
  return { ...migration, ...read, total: read.statements.length, row, mode: atomic ? 'batch' : 'journal' }
}

/** Names what comes after `statement` statements. */
export function describePosition(
  { statements, total }: Pick<Step, 'statements' | 'total'>,
  statement: number,
): string {
  return statements ? `statement ${statement + 1} of ${total}` : 'up()'
}

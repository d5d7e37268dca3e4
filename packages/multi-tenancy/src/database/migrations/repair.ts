import { TenancyError } from '../../errors.ts'
import { claimRow, clearDirty, writeRow } from './journal.ts'
import { createSession, type MigrateOptions, releaseLock, waitForLock } from './lock.ts'
import { createStep } from './plan.ts'

export interface RepairOptions<Client> extends MigrateOptions<Client> {
  /** The migration that was left half applied. */
  readonly name: string
  /**
   * How many of its statements are done now: 0 when what there was has been undone by hand, all of them when the
   * rest has been done by hand. A Kysely migration counts as one statement.
   */
  readonly statement: number
}

/**
 * Records how many statements of a half-applied migration are done. The next `migrate` continues from there, also with a
 * corrected text of the migration. With no statement or all of them done the dirty flag is cleared now, otherwise when
 * `migrate` has finished: a half-applied database is never served.
 *
 * @throws `conflict` when that migration is not half applied; `invalid_request` when it has fewer statements;
 * `migration_locked`
 */
export async function repairMigration<Client>(options: RepairOptions<Client>): Promise<void> {
  const { name, statement } = options
  const session = createSession(options)
  const { provider, client, tenantId } = session
  const migration = (await options.migrations.load()).find((one) => one.name === name)
  // Of a migration that left the code only its absence can be stated.
  const total = migration === undefined ? 0 : createStep(migration, undefined, provider).total
  const refuse = (code: 'invalid_request' | 'conflict', problem: string) =>
    new TenancyError(code, `Migration ${name} ${problem}`, { tenantId, step: name })
  if (!(Number.isInteger(statement) && statement >= 0 && statement <= total))
    throw refuse('invalid_request', `has ${total} statements, not ${statement}`)

  try {
    // Under the lock: a migration that seems half applied may be running.
    const { rows } = await waitForLock(session, ({ journal, lock }) =>
      lock === 'mine' ? journal : undefined,
    )
    const row = rows.get(name)
    if (row === undefined || row.state === 'done') throw refuse('conflict', 'is not half applied')
    const finished = migration !== undefined && statement === total
    await provider.batch(client, [
      claimRow(session, row, migration?.checksum ?? null),
      ...(finished || statement === 0 ? [clearDirty(session, name)] : []),
      writeRow(session, name, statement),
      writeRow(session, name, finished ? 'done' : 'paused'),
    ])
  } catch (cause) {
    throw provider.mapError(cause)
  } finally {
    await releaseLock(session)
  }
}

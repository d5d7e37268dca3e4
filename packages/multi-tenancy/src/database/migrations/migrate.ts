import { applySteps } from './apply.ts'
import type { LoadedMigration } from './define.ts'
import { readJournal } from './journal.ts'
import { createSession, type MigrateOptions, releaseLock, type Session, waitForLock } from './lock.ts'
import { planSteps, type Step } from './plan.ts'

/**
 * Brings one tenant's database to the newest migration and resolves with the names it applied, in order. Safe to
 * call again after any failure, and concurrently from several processes: each migration is applied once.
 *
 * With nothing pending it costs one query. Where DDL is transactional, `.sql` migrations that follow each other are
 * one batch, and need no lock: their rows in the journal, in the same transaction, let only one runner through. A
 * Kysely migration is one transaction. Elsewhere (and with `transaction: false`) a migration is journaled statement
 * by statement, and one that did not get to its end leaves the database dirty until `repairMigration`.
 *
 * @throws `migration_failed`, with the migration as `step` (an outage keeps its own, retryable code);
 * `migration_dirty`, `migration_changed`, `migration_missing`, `migration_locked`; `timeout` after an abort;
 * `config_invalid`; and what the provider throws
 */
export async function migrate<Client>(options: MigrateOptions<Client>): Promise<readonly string[]> {
  const session = createSession(options)
  const migrations = await options.migrations.load()
  const applied: string[] = []
  try {
    for (;;) {
      const { steps, isNew } = await waitForSteps(session, migrations)
      await checkRebuilds(session, steps)
      // A new database has nothing to go back to.
      if (steps.length > 0 && !isNew) {
        const names = steps.map(({ name }) => name)
        await session.provider.beforeMigrate?.(session.client, names)
      }
      const result = await applySteps(session, steps, { isNew })
      applied.push(...result.applied)
      if (!result.overtaken) return applied
    }
  } catch (cause) {
    throw session.provider.mapError(cause)
  } finally {
    await releaseLock(session)
  }
}

/** Waits until no other runner is in the way of the pending steps. Batches need no lock. */
function waitForSteps<Client>(
  session: Session<Client>,
  migrations: readonly LoadedMigration[],
): Promise<{ readonly steps: readonly Step[]; readonly isNew: boolean }> {
  return waitForLock(session, ({ journal, lock }) => {
    const isNew = journal.rows.size === 0
    const { steps, dirty } = planSteps(migrations, journal, session)
    if (steps.length === 0 && !dirty) return { steps, isNew }
    if (lock === 'taken') return undefined
    if (dirty) throw dirty
    return lock === 'mine' || steps.every(({ mode }) => mode === 'batch') ? { steps, isNew } : undefined
  })
}

/**
 * Returns the names that `migrate` would run, in order, with one query. It creates the two bookkeeping tables where they
 * are missing and changes nothing else. A migration that is running, or was left half applied, is among them.
 *
 * @throws `migration_changed`, `migration_missing`, `config_invalid`, and what the provider throws
 */
export async function pendingMigrations<Client>(options: MigrateOptions<Client>): Promise<readonly string[]> {
  const session = createSession(options)
  const migrations = await options.migrations.load()
  try {
    const journal = await readJournal(session)
    return planSteps(migrations, journal, session).steps.map(({ name }) => name)
  } catch (cause) {
    throw session.provider.mapError(cause)
  }
}

async function checkRebuilds<Client>(
  { provider, client }: Session<Client>,
  steps: readonly Step[],
): Promise<void> {
  const { migrationSql, batchWithoutForeignKeys, query } = provider
  const { foreignKeys } = migrationSql
  const canTurnOff = batchWithoutForeignKeys !== undefined
  await foreignKeys?.checkRebuilds(steps, canTurnOff, () => query(client, foreignKeys.readTables))
}

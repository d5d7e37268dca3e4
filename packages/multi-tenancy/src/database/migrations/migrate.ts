import { applySteps } from './apply.ts'
import { readJournal } from './journal.ts'
import { createSession, type MigrateOptions, release, type Session, settle } from './lock.ts'
import { planSteps, type Step } from './plan.ts'

/**
 * Brings one tenant's database to the newest migration and resolves with the names it applied, in order. Safe to
 * call again after anything, and at once from several processes: each migration is applied once.
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
  const { beforeMigrate } = options.provider
  const applied: string[] = []
  try {
    let steps: readonly Step[]
    let fresh = true
    do {
      steps = await settle(session, (journal, mine, free) => {
        fresh = journal.rows.size === 0
        const plan = planSteps(migrations, journal, session)
        if (plan.steps.length === 0 && !plan.dirty) return []
        if (!free) return undefined
        if (plan.dirty) throw plan.dirty
        return mine || plan.steps.every(({ mode }) => mode === 'batch') ? plan.steps : undefined
      })
      await checkRebuilds(session, steps)
      // A new database has nothing to go back to.
      if (steps.length > 0 && !fresh) {
        await beforeMigrate?.(
          session.client,
          steps.map(({ name }) => name),
        )
      }
    } while (!(await applySteps(session, steps, applied, fresh)))
    return applied
  } catch (cause) {
    throw session.provider.mapError(cause)
  } finally {
    await release(session)
  }
}

/**
 * The names `migrate` would run, in order. One query; it makes the two bookkeeping tables where they are missing
 * and changes nothing else. A migration that is under way, or was left half applied, is among them.
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

import { TenancyError } from '../../errors.ts'
import { markDirty, takeRow, writeRow } from './journal.ts'
import { createSession, type MigrateOptions, release, settle } from './lock.ts'
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
 * Says what someone found in a dirty database. The next `migrate` goes on from there, also with a corrected text of
 * the migration. With no statement or all of them done the dirty mark is lifted now, else when `migrate` is through:
 * a half-applied database is never served.
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
    // Under the lock: what looks half applied may be a run under way.
    const { rows } = await settle(session, (journal, mine) => (mine ? journal : undefined))
    const row = rows.get(name)
    if (row === undefined || row.state === 'done') throw refuse('conflict', 'is not half applied')
    const finished = migration !== undefined && statement === total
    await provider.batch(client, [
      takeRow(session, row, migration?.checksum ?? null),
      ...(finished || statement === 0 ? [markDirty(session, name, false)] : []),
      writeRow(session, name, statement),
      writeRow(session, name, finished ? 'done' : 'paused'),
    ])
  } catch (cause) {
    throw provider.mapError(cause)
  } finally {
    await release(session)
  }
}

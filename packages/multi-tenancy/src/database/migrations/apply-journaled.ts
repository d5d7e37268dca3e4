import type { Statement } from '../../types/provider.ts'
import { claimRow, clearDirty, createRow, flagDirty, insertRow, writeRow } from './journal.ts'
import { type Session, whileRenewingLease } from './lock.ts'
import type { Step } from './plan.ts'

/** Whether the step is `.sql` text whose statements run one after the other on one connection. */
export function sharesSession<Client>({ provider }: Session<Client>, { statements }: Step): boolean {
  return statements !== undefined && !provider.capabilities.transactionalDdl
}

/** Runs migrations outside a transaction, with each statement written down. */
export async function runJournaledStatements<Client>(
  session: Session<Client>,
  step: Step,
  group: readonly Step[],
): Promise<void> {
  const { provider, client } = session
  await whileRenewingLease(session, async () => {
    if (!sharesSession(session, step)) return runSeparately(session, step)
    const statements = group.flatMap((each) => {
      const { begin, work, end } = createJournaledStatements(session, each)
      return [...begin, ...work, ...end]
    })
    await provider.batch(client, statements)
  })
}

async function runSeparately<Client>(session: Session<Client>, step: Step): Promise<void> {
  const { provider, client } = session
  const { begin, work, end } = createJournaledStatements(session, step)
  await provider.batch(client, begin)
  // No batch, because that would be a transaction here.
  for (const statement of work) await provider.query(client, statement)
  if ((step.row?.statement ?? 0) < step.total) await runUp(session, step)
  // A migration that is done must not stay dirty because one packet was lost.
  const finish = (): Promise<void> => provider.batch(client, end)
  await finish().catch(finish)
}

/** Runs `up` on one connection, so that what a statement sets holds for the next. */
async function runUp<Client>({ provider, client }: Session<Client>, { up }: Step): Promise<void> {
  const { capabilities, migrationSql } = provider
  // The client of a SQLite service has no connection: each statement takes its own.
  const scope = capabilities.dialect === 'sqlite' ? 'nothing' : 'session'
  const kysely = provider.kysely(client)
  if (up === undefined) return
  await kysely
    .connection()
    .execute((connection) => up(migrationSql.createUpDatabase(kysely, connection, scope)))
}

/**
 * The row is written before the dirty flag, the flag before the first statement, the count after each statement, and
 * the flag is cleared before the row says `done`. A crash between any two leaves an exact count or a row in `started`.
 */
function createJournaledStatements<Client>(
  session: Session<Client>,
  { name, row, total, checksum, statements = [], settings }: Step,
): { readonly begin: Statement[]; readonly work: Statement[]; readonly end: Statement[] } {
  const done = row?.statement ?? 0
  return {
    begin: [
      row
        ? claimRow(session, row, checksum)
        : insertRow(session, createRow(session, { name, total, checksum }, 'paused'), session.now()),
      flagDirty(session, name),
      writeRow(session, name, 'started'),
    ],
    work: [
      // The settings of an earlier run ended with its connection.
      ...settings.filter((index) => index < done).map((index) => ({ sql: statements[index] ?? '' })),
      ...statements.slice(done).flatMap((sql, index) => [{ sql }, writeRow(session, name, done + index + 1)]),
    ],
    end: [writeRow(session, name, total), clearDirty(session, name), writeRow(session, name, 'done')],
  }
}

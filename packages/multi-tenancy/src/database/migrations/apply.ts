import { TenancyError } from '../../errors.ts'
import type { Statement } from '../../types/provider.ts'
import { MIGRATIONS_TABLE } from '../../util/dialect.ts'
import { insertRow, type JournalRow, markDirty, readJournal, takeRow, writeRow } from './journal.ts'
import { checkSignal, keepLock, type Session, writeLease } from './lock.ts'
import { placeOf, type Step } from './plan.ts'

/**
 * Runs steps in order and adds the names of the applied ones. Resolves with `false` when it met another runner's
 * work: plan again.
 *
 * @param fresh no migration was begun yet: nobody has data that a statement would take long over
 * @throws `migration_failed`, or what the provider's error is where trying again can help
 */
export async function applySteps<Client>(
  session: Session<Client>,
  steps: readonly Step[],
  applied: string[],
  fresh: boolean,
): Promise<boolean> {
  let single = false
  for (let at = 0; at < steps.length; ) {
    checkSignal(session)
    const [step, ...others] = steps.slice(at)
    if (step === undefined) break
    // Round trips decide the speed of a fleet, so neighbours that can share one batch do.
    const shares = (one: Step): boolean =>
      one.mode === step.mode &&
      !one.hasSettings &&
      (one.mode === 'batch' || (fresh && isOneCall(session, one) && leavesNothing(one)))
    const alone = single || !shares(step) ? 0 : others.findIndex((one) => !shares(one))
    const group = [step, ...(alone < 0 ? others : others.slice(0, alone))]
    let done = group.length
    let overtaken = false
    try {
      await run(session, step, group)
    } catch (cause) {
      for (done = 0; done < group.length; done++) {
        const verdict = await judge(session, group[done] ?? step, group.length - 1, cause)
        if (verdict === 'applied') continue
        overtaken = verdict === 'overtaken'
        // As one, nothing of it happened. One by one, what comes before the culprit is applied and it is named.
        single = true
        break
      }
    }
    for (const { name } of group.slice(0, done)) applied.push(name)
    if (overtaken) return false
    at += done
  }
  return true
}

async function run<Client>(session: Session<Client>, step: Step, group: readonly Step[]): Promise<void> {
  const { provider, client, now } = session
  const { createUpDatabase, foreignKeys } = provider.migrationSql
  const send = (step.foreignKeysOff && provider.batchWithoutForeignKeys) || provider.batch
  const batch = (statementsOf: (step: Step) => readonly Statement[]): Promise<void> =>
    send(client, [
      ...(step.mode === 'batch' && session.locked ? [writeLease(session)] : []),
      ...group.flatMap(statementsOf),
      ...(step.foreignKeysOff && foreignKeys ? [foreignKeys.check] : []),
    ])
  if (step.mode === 'journal')
    return keepLock(session, () =>
      isOneCall(session, step)
        ? // On one connection, so that what a statement SETs holds for the next.
          batch((one) => journaled(session, one).flat())
        : runJournaled(session, step),
    )
  if (step.mode === 'batch')
    // The row first: another runner is stopped before it has done anything.
    return batch((one) => [
      insertRow(session, rowOf(session, one, 'done'), now()),
      ...(one.statements ?? []).map((sql) => ({ sql })),
    ])
  await provider.query(client, writeLease(session))
  const kysely = provider.kysely(client)
  await kysely.transaction().execute(async (trx) => {
    const row = { ...rowOf(session, step, 'done'), applied_at: now() }
    await trx.withoutPlugins().insertInto(MIGRATIONS_TABLE).values(row).execute()
    await step.up?.(createUpDatabase(kysely, trx, 'transaction'))
  })
}

function rowOf<Client>({ attempt }: Session<Client>, step: Step, state: 'done' | 'paused'): JournalRow {
  const { name, checksum, total } = step
  return { name, checksum, state, statement: state === 'done' ? total : 0, attempt }
}

/** Nothing but statements, for a batch that is no transaction. */
function isOneCall<Client>({ provider }: Session<Client>, { statements }: Step): boolean {
  return statements !== undefined && !provider.capabilities.transactionalDdl
}

/** Nothing of it is left in its session, where the next migration would meet it. */
function leavesNothing({ statements = [] }: Step): boolean {
  return statements.every((sql) => /^(?:CREATE|ALTER|DROP|INSERT|UPDATE|DELETE)\s(?!TEMP)[^@]*$/i.test(sql))
}

/**
 * Outside a transaction: the row is there before the dirty mark and the mark before the first statement, each
 * statement is counted once it is done, and the mark goes before the row says so. A crash between any two leaves
 * either an exact count or a row in `started`.
 *
 * @returns what begins it, what is still to be done, and what ends it
 */
function journaled<Client>(session: Session<Client>, step: Step): [Statement[], Statement[], Statement[]] {
  const { name, row, total, checksum, statements = [] } = step
  const done = row?.statement ?? 0
  return [
    [
      row
        ? takeRow(session, row, checksum)
        : insertRow(session, rowOf(session, step, 'paused'), session.now()),
      markDirty(session, name, true),
      writeRow(session, name, 'started'),
    ],
    statements.slice(done).flatMap((sql, index) => [{ sql }, writeRow(session, name, done + index + 1)]),
    [writeRow(session, name, total), markDirty(session, name, false), writeRow(session, name, 'done')],
  ]
}

/** Runs `up` on one connection, so that what a statement sets holds for the next. */
async function runUp<Client>({ provider, client }: Session<Client>, { up }: Step): Promise<void> {
  const { capabilities, migrationSql } = provider
  // The client of a SQLite service has no connection: each statement takes its own.
  const scope = capabilities.dialect === 'sqlite' ? 'nothing' : 'session'
  const kysely = provider.kysely(client)
  if (up !== undefined)
    await kysely
      .connection()
      .execute((connection) => up(migrationSql.createUpDatabase(kysely, connection, scope)))
}

async function runJournaled<Client>(session: Session<Client>, step: Step): Promise<void> {
  const { provider, client } = session
  const [begin, work, end] = journaled(session, step)
  await provider.batch(client, begin)
  // Not a batch, which would be a transaction here.
  for (const one of work) await provider.query(client, one)
  if ((step.row?.statement ?? 0) < step.total) await runUp(session, step)
  // What is known to be done shall not end dirty for one lost packet.
  const finish = (): Promise<void> => provider.batch(client, end)
  await finish().catch(finish)
}

/** What became of a run that threw: the journal knows, whatever reply was lost. */
async function judge<Client>(
  session: Session<Client>,
  step: Step,
  others: number,
  cause: unknown,
): Promise<'applied' | 'overtaken' | 'refused'> {
  const { provider, client, tenantId, attempt } = session
  const { name, total } = step
  const error = provider.mapError(cause)
  const { code, detail, retryable, retryAfter } = error
  const violation = provider.migrationSql.foreignKeys?.findViolation(detail)
  if (violation !== undefined)
    throw new TenancyError('migration_failed', `Migration ${name} was undone: ${violation}`, {
      cause: error,
      tenantId,
      step: name,
    })
  const failure = (place: string, dirty?: boolean): TenancyError =>
    new TenancyError(
      retryable && !dirty ? code : 'migration_failed',
      `Migration ${name} failed${place}: ${detail}`,
      { cause: error, tenantId, step: name, retryAfter },
    )

  const journal = await readJournal(session).catch(() => {
    throw failure('')
  })
  const row = journal.rows.get(name)
  if (row?.attempt === attempt) {
    if (row.state === 'done') return 'applied'
    if (row.state === 'started' && row.statement < total) {
      // Only an answer of the server says that the statement is not done.
      if (!retryable && code !== 'internal' && code !== 'closed')
        await provider.query(client, writeRow(session, name, 'failed')).catch(() => {})
      throw failure(` in ${placeOf(step, row.statement)}`, true)
    }
  } else if (row && row.attempt !== step.row?.attempt) return 'overtaken'
  else if (others > 0 && !retryable) return 'refused'
  if (step.mode !== 'batch') throw failure('')

  // Some errors say which statement of a batch it was: libSQL's have `statementIndex`.
  const index = (cause as { statementIndex?: number } | null)?.statementIndex
  const statement = index === undefined ? total - 1 : index - (session.locked ? 2 : 1)
  const known = statement >= 0 && (index !== undefined || total === 1)
  throw failure(` in ${known ? placeOf(step, statement) : `one of its ${total} statements`}`)
}

import { TenancyError } from '../errors.ts'
import { MIGRATIONS_TABLE } from '../sql.ts'
import { insertRow, type JournalRow, markDirty, readJournal, takeRow, writeRow } from './journal.ts'
import { checkSignal, keepLock, type Session, writeLease } from './lock.ts'
import { placeOf, type Step } from './plan.ts'

/**
 * Runs steps in order and adds the names of the applied ones. Resolves with `false` when it met another runner's
 * work: plan again.
 *
 * @throws `migration_failed`, or what the provider's error is where trying again can help
 */
export async function applySteps<Client>(
  session: Session<Client>,
  steps: readonly Step[],
  applied: string[],
): Promise<boolean> {
  let single = false
  for (let at = 0; at < steps.length; ) {
    checkSignal(session)
    const [step, ...group] = steps.slice(at)
    if (step === undefined) break
    // Round trips decide the speed of a fleet, so neighbours that can share one batch do.
    const alone = single || step.mode !== 'batch' ? 0 : group.findIndex(({ mode }) => mode !== 'batch')
    if (alone >= 0) group.length = alone
    try {
      await run(session, step, group)
    } catch (cause) {
      const verdict = await judge(session, step, group.length, cause)
      if (verdict === 'overtaken') return false
      if (verdict === 'refused') {
        // As one, nothing of it happened. One by one, what comes before the culprit is applied and it is named.
        single = true
        continue
      }
    }
    for (const { name } of [step, ...group]) applied.push(name)
    at += 1 + group.length
  }
  return true
}

async function run<Client>(session: Session<Client>, step: Step, group: readonly Step[]): Promise<void> {
  const { provider, client, now } = session
  if (step.mode === 'journal') return keepLock(session, () => runJournaled(session, step))
  if (step.mode === 'batch') {
    return provider.batch(client, [
      ...(session.locked ? [writeLease(session)] : []),
      // The row first: another runner is stopped before it has done anything.
      ...[step, ...group].flatMap((one) => [
        insertRow(session, rowOf(session, one, 'done'), now()),
        ...(one.statements ?? []).map((sql) => ({ sql })),
      ]),
    ])
  }
  await provider.query(client, writeLease(session))
  await provider
    .kysely(client)
    .transaction()
    .execute(async (trx) => {
      const row = { ...rowOf(session, step, 'done'), applied_at: now() }
      await trx.withoutPlugins().insertInto(MIGRATIONS_TABLE).values(row).execute()
      await step.up?.(trx)
    })
}

function rowOf<Client>({ attempt }: Session<Client>, step: Step, state: 'done' | 'paused'): JournalRow {
  const { name, checksum, total } = step
  return { name, checksum, state, statement: state === 'done' ? total : 0, attempt }
}

/**
 * Outside a transaction: the row is there before the dirty mark and the mark before the first statement, each
 * statement is counted once it is done, and the mark goes before the row says so. A crash between any two leaves
 * either an exact count or a row in `started`.
 */
async function runJournaled<Client>(session: Session<Client>, step: Step): Promise<void> {
  const { provider, client } = session
  const { name, row, total, statements } = step
  const done = row?.statement ?? 0
  const begin = [
    row
      ? takeRow(session, row, step.checksum)
      : insertRow(session, rowOf(session, step, 'paused'), session.now()),
    markDirty(session, name, true),
    writeRow(session, name, 'started'),
  ]
  const work = (statements ?? [])
    .slice(done)
    .flatMap((sql, index) => [{ sql }, writeRow(session, name, done + index + 1)])
  const end = [
    writeRow(session, name, total),
    markDirty(session, name, false),
    writeRow(session, name, 'done'),
  ]

  // One call, on one connection, so that what a statement SETs holds for the next.
  if (statements && !provider.capabilities.transactionalDdl)
    return provider.batch(client, [...begin, ...work, ...end])
  await provider.batch(client, begin)
  // Not a batch, which would be a transaction here.
  for (const one of work) await provider.query(client, one)
  if (done < total) await step.up?.(provider.kysely(client))
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
  const { code, message, retryable, retryAfter } = error
  const failure = (place: string, dirty?: boolean): TenancyError =>
    new TenancyError(
      retryable && !dirty ? code : 'migration_failed',
      `Migration ${name} failed${place}: ${message}`,
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

import type { Statement } from '../contract.ts'
import { TenancyError } from '../errors.ts'
import { MIGRATIONS_TABLE } from '../sql.ts'
import { insertRow, type JournalRow, markDirty, readJournal, takeRow, writeRow } from './journal.ts'
import { checkSignal, keepLock, type Session, writeLease } from './lock.ts'
import { placeOf, type Step } from './plan.ts'
import { leadingKeyword } from './split.ts'

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
    // Round trips decide the speed of a fleet, so neighbours that can share one batch do.
    const sharing = (step: Step): boolean =>
      step.mode === 'batch' || (fresh && isOneCall(session, step) && leavesNothing(session, step))
    const group = steps.slice(at, at + 1)
    for (const step of single ? [] : steps.slice(at + 1)) {
      if (![...group, step].every((one) => sharing(one) && one.mode === step.mode)) break
      group.push(step)
    }
    let done = group.length
    let verdict: Verdict = 'applied'
    try {
      await run(session, group)
    } catch (cause) {
      done = 0
      for (const step of group) {
        verdict = await judge(session, step, group.length - 1, cause)
        if (verdict !== 'applied') break
        done++
      }
      // As one, nothing of it happened. One by one, what comes before the culprit is applied and it is named.
      single ||= verdict === 'refused'
    }
    for (const { name } of group.slice(0, done)) applied.push(name)
    if (verdict === 'overtaken') return false
    at += done
  }
  return true
}

async function run<Client>(session: Session<Client>, group: readonly Step[]): Promise<void> {
  const { provider, client, now } = session
  const batch = (
    statementsOf: (step: Step) => readonly Statement[],
    first: Statement[] = [],
  ): Promise<void> => provider.batch(client, [...first, ...group.flatMap(statementsOf)])
  for (const step of group) {
    if (step.mode === 'batch')
      return batch(
        // The row first: another runner is stopped before it has done anything.
        (one) => [
          insertRow(session, doneRow(session, one), now()),
          ...(one.statements ?? []).map((sql) => ({ sql })),
        ],
        session.locked ? [writeLease(session)] : [],
      )
    if (isOneCall(session, step))
      // On one connection, so that what a statement SETs holds for the next.
      return keepLock(session, () =>
        batch((one) => {
          const { begin, work, end } = journaled(session, one)
          return [...begin, ...work, ...end]
        }),
      )
    if (step.mode === 'journal') return keepLock(session, () => runJournaled(session, step))
    await provider.query(client, writeLease(session))
    await provider
      .kysely(client)
      .transaction()
      .execute(async (trx) => {
        const row = { ...doneRow(session, step), applied_at: now() }
        await trx.withoutPlugins().insertInto(MIGRATIONS_TABLE).values(row).execute()
        await step.up?.(trx)
      })
  }
}

function doneRow<Client>({ attempt }: Session<Client>, { name, checksum, total }: Step): JournalRow {
  return { name, checksum, state: 'done', statement: total, attempt }
}

/** Journaled, and nothing but statements for a batch that is no transaction. */
function isOneCall<Client>({ provider }: Session<Client>, { mode, statements }: Step): boolean {
  return mode === 'journal' && statements !== undefined && !provider.capabilities.transactionalDdl
}

/** Nothing of it is left in its session, where the next migration would meet it. */
function leavesNothing<Client>({ provider }: Session<Client>, { statements = [] }: Step): boolean {
  const { dialect } = provider.capabilities
  return statements.every(
    (sql) =>
      /^(?:CREATE|ALTER|DROP|INSERT|UPDATE|DELETE)$/.test(leadingKeyword(sql, dialect)) &&
      !/@|\btemp/i.test(sql),
  )
}

/**
 * Outside a transaction: the row is there before the dirty mark and the mark before the first statement, each
 * statement is counted once it is done, and the mark goes before the row says so. A crash between any two leaves
 * either an exact count or a row in `started`.
 */
function journaled<Client>(session: Session<Client>, { name, row, checksum, statements, total }: Step) {
  const done = row?.statement ?? 0
  const paused = { name, checksum, state: 'paused', statement: 0, attempt: session.attempt } as const
  return {
    done,
    begin: [
      row ? takeRow(session, row, checksum) : insertRow(session, paused, session.now()),
      markDirty(session, name, true),
      writeRow(session, name, 'started'),
    ],
    work: (statements ?? [])
      .slice(done)
      .flatMap((sql, index) => [{ sql }, writeRow(session, name, done + index + 1)]),
    end: [writeRow(session, name, total), markDirty(session, name, false), writeRow(session, name, 'done')],
  }
}

async function runJournaled<Client>(session: Session<Client>, step: Step): Promise<void> {
  const { provider, client } = session
  const { done, begin, work, end } = journaled(session, step)
  await provider.batch(client, begin)
  // Not a batch, which would be a transaction here.
  for (const one of work) await provider.query(client, one)
  if (done < step.total) await step.up?.(provider.kysely(client))
  // What is known to be done shall not end dirty for one lost packet.
  const finish = (): Promise<void> => provider.batch(client, end)
  await finish().catch(finish)
}

type Verdict = 'applied' | 'overtaken' | 'refused'

/** What became of a run that threw: the journal knows, whatever reply was lost. */
async function judge<Client>(
  session: Session<Client>,
  step: Step,
  others: number,
  cause: unknown,
): Promise<Verdict> {
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

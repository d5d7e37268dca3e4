import type { Statement } from '../../types/provider.ts'
import { MIGRATIONS_TABLE } from '../../util/dialect.ts'
import { runJournaledStatements, sharesSession } from './apply-journaled.ts'
import { createRow, insertRow } from './journal.ts'
import { checkSignal, renewLease, type Session } from './lock.ts'
import { resolveOutcome } from './outcome.ts'
import type { Step } from './plan.ts'

export interface ApplyResult {
  /** The names of the applied migrations, in order. */
  readonly applied: readonly string[]
  /** Another runner applied one of the steps: read the journal and plan again. */
  readonly overtaken: boolean
}

/**
 * Runs steps in order.
 *
 * @param isNew no migration was begun before, so a statement meets no data that it would take long over
 * @throws `migration_failed`, or the provider's error where trying again can help
 */
export async function applySteps<Client>(
  session: Session<Client>,
  steps: readonly Step[],
  { isNew }: { readonly isNew: boolean },
): Promise<ApplyResult> {
  const applied: string[] = []
  let oneByOne = false
  for (let rest = steps; rest.length > 0; ) {
    checkSignal(session)
    const group = oneByOne ? rest.slice(0, 1) : takeGroup(session, rest, { isNew })
    const [step] = group
    if (step === undefined) break
    let count = group.length
    try {
      await runGroup(session, step, group)
    } catch (cause) {
      for (count = 0; count < group.length; count++) {
        const outcome = await resolveOutcome(session, group[count] ?? step, group.length, cause)
        if (outcome === 'applied') continue
        if (outcome === 'overtaken')
          return { applied: [...applied, ...getNames(group.slice(0, count))], overtaken: true }
        // Nothing of the group happened. One by one, all before the failing one are applied, and it is named.
        oneByOne = true
        break
      }
    }
    applied.push(...getNames(group.slice(0, count)))
    rest = rest.slice(count)
  }
  return { applied, overtaken: false }
}

function getNames(steps: readonly Step[]): string[] {
  return steps.map(({ name }) => name)
}

/** The first steps that may share one batch: round trips decide how long a fleet takes. */
function takeGroup<Client>(
  session: Session<Client>,
  steps: readonly Step[],
  { isNew }: { readonly isNew: boolean },
): readonly Step[] {
  const canShare = (step: Step): boolean =>
    step.mode === steps[0]?.mode &&
    step.settings.length === 0 &&
    (step.mode === 'batch' || (isNew && sharesSession(session, step) && leavesNoSetting(step)))
  const end = steps.findIndex((step) => !canShare(step))
  return end < 0 ? steps : steps.slice(0, Math.max(1, end))
}

/** Whether the next migration finds nothing of it in the session. */
function leavesNoSetting({ statements = [] }: Step): boolean {
  return statements.every((sql) => /^(?:CREATE|ALTER|DROP|INSERT|UPDATE|DELETE)\s(?!TEMP)[^@]*$/i.test(sql))
}

async function runGroup<Client>(session: Session<Client>, step: Step, group: readonly Step[]): Promise<void> {
  if (step.mode === 'journal') return runJournaledStatements(session, step, group)
  if (step.mode === 'batch') return runBatch(session, step, group)
  return runTransaction(session, step)
}

/** `.sql` migrations in one transaction. */
async function runBatch<Client>(session: Session<Client>, step: Step, group: readonly Step[]): Promise<void> {
  const { provider, client, now, lock } = session
  const { foreignKeys } = provider.migrationSql
  const send = (step.foreignKeysOff && provider.batchWithoutForeignKeys) || provider.batch
  await send(client, [
    ...(lock.mayBeHeld ? [renewLease(session)] : []),
    // The row first: another runner is stopped before it has done anything.
    ...group.flatMap((each): Statement[] => [
      insertRow(session, createRow(session, each, 'done'), now()),
      ...(each.statements ?? []).map((sql) => ({ sql })),
    ]),
    ...(step.foreignKeysOff && foreignKeys ? [foreignKeys.check] : []),
  ])
}

/** A Kysely migration in one transaction. */
async function runTransaction<Client>(session: Session<Client>, step: Step): Promise<void> {
  const { provider, client, now } = session
  await provider.query(client, renewLease(session))
  const kysely = provider.kysely(client)
  await kysely.transaction().execute(async (transaction) => {
    const row = { ...createRow(session, step, 'done'), applied_at: now() }
    await transaction.withoutPlugins().insertInto(MIGRATIONS_TABLE).values(row).execute()
    await step.up?.(provider.migrationSql.createUpDatabase(kysely, transaction, 'transaction'))
  })
}

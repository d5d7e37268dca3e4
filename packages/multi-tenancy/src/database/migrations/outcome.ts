import { TenancyError } from '../../errors.ts'
import { readJournal, writeRow } from './journal.ts'
import type { Session } from './lock.ts'
import { describePosition, type Step } from './plan.ts'

/** `refused`: nothing of the group happened, and the database said why. */
export type Outcome = 'applied' | 'overtaken' | 'refused'

/**
 * Reads from the journal what became of a step whose run threw, because a reply may be lost.
 *
 * @param count how many steps ran together
 * @throws `migration_failed`, or the provider's error where trying again can help
 */
export async function resolveOutcome<Client>(
  session: Session<Client>,
  step: Step,
  count: number,
  cause: unknown,
): Promise<Outcome> {
  const { provider, client, tenantId, attempt } = session
  const { name, total } = step
  const error = provider.mapError(cause)
  const { code, detail, retryable, retryAfter } = error
  const createFailure = (position: string, left: 'undone' | 'dirty' = 'undone'): TenancyError =>
    new TenancyError(
      retryable && left === 'undone' ? code : 'migration_failed',
      `Migration ${name} failed${position}: ${detail}`,
      { cause: error, tenantId, step: name, retryAfter },
    )

  const violation = provider.migrationSql.foreignKeys?.findViolation(detail)
  if (violation !== undefined) {
    const problem = `Migration ${name} was undone: ${violation}`
    throw new TenancyError('migration_failed', problem, { cause: error, tenantId, step: name })
  }
  const journal = await readJournal(session).catch(() => {
    throw createFailure('')
  })
  const row = journal.rows.get(name)
  if (row?.attempt === attempt) {
    if (row.state === 'done') return 'applied'
    if (row.state === 'started' && row.statement < total) {
      // Only an answer of the server proves that the statement is not done.
      if (!retryable && code !== 'internal' && code !== 'closed')
        await provider.query(client, writeRow(session, name, 'failed')).catch(() => {})
      throw createFailure(` in ${describePosition(step, row.statement)}`, 'dirty')
    }
  } else if (row && row.attempt !== step.row?.attempt) return 'overtaken'
  else if (count > 1 && !retryable) return 'refused'
  throw createFailure(step.mode === 'batch' ? ` in ${describeBatchPosition(session, step, cause)}` : '')
}

/** Some errors say which statement of a batch it was: libSQL's have `statementIndex`. */
function describeBatchPosition<Client>({ lock }: Session<Client>, step: Step, cause: unknown): string {
  const { total } = step
  const index = (cause as { statementIndex?: number } | null)?.statementIndex
  const statement = index === undefined ? total - 1 : index - (lock.mayBeHeld ? 2 : 1)
  const isKnown = statement >= 0 && (index !== undefined || total === 1)
  return isKnown ? describePosition(step, statement) : `one of its ${total} statements`
}

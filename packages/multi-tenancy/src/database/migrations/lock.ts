import { configError, TenancyError } from '../../errors.ts'
import type { Statement } from '../../types/provider.ts'
import { LOCK_TABLE, NOW, statement } from '../../util/dialect.ts'
import { createEnvironment } from '../../util/environment.ts'
import type { Migrations } from './define.ts'
import {
  type Journal,
  type JournalReader,
  type MigrationProvider,
  readJournal,
  type Writer,
} from './journal.ts'

/** What every call of the runner takes. */
export interface MigrateOptions<Client> {
  readonly provider: MigrationProvider<Client>
  /** A client of exactly this tenant's database, whose identity stamp was checked. */
  readonly client: Client
  readonly migrations: Migrations
  /** For errors. */
  readonly tenantId: string
  /**
   * How long the lock is held without a sign of life, in ms. As long a database is served whose runner died half-way.
   *
   * @default 30_000
   */
  readonly lockTtl?: number
  /** How long to wait for another runner, in ms. @default 10_000 */
  readonly lockTimeout?: number
  /** Also runs a migration ordered before one that was applied. @default false */
  readonly allowUnordered?: boolean
  /** Stops before the next migration. */
  readonly signal?: AbortSignal | undefined
  /** The clock, in epoch ms. @default the database's own, so that runners need not agree about the time */
  readonly now?: () => number
  /** Resolves after so many ms. @default setTimeout */
  readonly sleep?: (ms: number) => Promise<unknown>
}

/** One run: its options with defaults, and its mark on lock and journal. */
export type Session<Client> = MigrateOptions<Client> &
  Required<Pick<MigrateOptions<Client>, 'lockTtl' | 'lockTimeout' | 'now' | 'sleep'>> &
  Writer &
  JournalReader<Client> & {
    /** Whether it may hold the lock. */
    locked: boolean
  }

/** @throws `config_invalid` */
export function createSession<Client>(options: MigrateOptions<Client>): Session<Client> {
  const { lockTtl = 30_000, now } = options
  const { dialect } = options.provider.capabilities
  // setInterval takes no more, and counts a longer time as none.
  if (!(lockTtl > 0 && lockTtl < 2 ** 31)) throw configError('lockTtl', 'must be above 0')
  return {
    lockTimeout: 10_000,
    ...createEnvironment(),
    ...options,
    lockTtl,
    attempt: crypto.randomUUID(),
    sql: statement.bind(undefined, dialect),
    clock: () => now?.() ?? `1000 * ${NOW[dialect]}`,
    locked: false,
  }
}

/**
 * Reads the journal until `decide` has an answer. While another runner holds the lock it waits; when the lock is
 * free (or its holder has died) and `decide` still has none, it takes the lock.
 *
 * The lock is a lease in a row: advisory locks and `GET_LOCK` belong to a connection, which behind a transaction
 * pooler is anyone's, and HTTP has none. It keeps runners out of each other's way; that nothing runs twice is the
 * journal's doing.
 *
 * @throws `migration_locked` after `lockTimeout`, with the rest of the lease as `retryAfter`
 */
export async function settle<Client, Answer>(
  session: Session<Client>,
  decide: (journal: Journal, mine: boolean, free: boolean) => Answer | undefined,
): Promise<Answer> {
  const { provider, client, attempt, tenantId, now } = session
  const deadline = now() + session.lockTimeout
  for (let delay = 50; ; delay = Math.min(delay * 2, 1000)) {
    checkSignal(session)
    const journal = await readJournal(session)
    const mine = journal.owner === attempt
    const free = mine || journal.lease <= 0
    const answer = decide(journal, mine, free)
    if (answer !== undefined) return answer

    let busy: TenancyError | undefined
    if (free) {
      // Before the claim, whose reply may be lost.
      session.locked = true
      try {
        await provider.query(client, writeLease(session, `expires_at <= ${session.clock()}`))
        // The next read tells whose it is.
        continue
      } catch (cause) {
        busy = provider.mapError(cause)
        // SQLite is busy while the winner writes.
        if (!busy.retryable) throw busy
      }
    }
    const left = deadline - now()
    if (!(left > 0)) {
      throw (
        busy ??
        new TenancyError('migration_locked', 'Another runner is at it', {
          tenantId,
          retryAfter: Math.ceil(journal.lease / 1000),
        })
      )
    }
    await session.sleep(Math.min(delay, left))
  }
}

/** @throws `timeout` once the signal is aborted */
export function checkSignal<Client>({ signal, tenantId }: Session<Client>): void {
  if (signal?.aborted)
    throw new TenancyError('timeout', 'Stopped between migrations', { tenantId, cause: signal.reason })
}

/** Extends the lease to `until` (SQL, in epoch ms) if it is this run's, or takes it where something else is so. */
export function writeLease<Client>(
  { sql, attempt, clock, lockTtl }: Session<Client>,
  when = `owner = '${attempt}'`,
  until = `${clock()} + ${lockTtl}`,
): Statement {
  return sql(`UPDATE ${LOCK_TABLE} SET owner = ?, expires_at = ${until} WHERE slot = 1 AND ${when}`, attempt)
}

/** Extends the lease three times per `lockTtl` while `work` runs. */
export async function keepLock<Client>(session: Session<Client>, work: () => Promise<void>): Promise<void> {
  const { provider, client } = session
  // A renewal that fails is made up for by the next one; a lease that is lost is noticed at the journal's fence.
  const renew = (): unknown => provider.query(client, writeLease(session)).catch(() => {})
  const timer = setInterval(renew, session.lockTtl / 3)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
}

/** Gives the lock back. Never fails: a lease that was not given back ends by itself. */
export async function release<Client>(session: Session<Client>): Promise<void> {
  const { provider, client, locked } = session
  if (locked) await provider.query(client, writeLease(session, undefined, '0')).catch(() => {})
}

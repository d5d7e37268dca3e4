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
  /** A client of this tenant's database, whose identity stamp was checked. */
  readonly client: Client
  readonly migrations: Migrations
  /** For errors. */
  readonly tenantId: string
  /**
   * How long the lock is held without a renewal, in ms. A database whose runner died halfway is served for that long.
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

/** One run: its options with defaults, and its id in lock and journal. */
export interface Session<Client> extends Writer, JournalReader<Client> {
  readonly tenantId: string
  readonly lockTtl: number
  readonly lockTimeout: number
  readonly allowUnordered: boolean
  readonly signal: AbortSignal | undefined
  readonly now: () => number
  readonly sleep: (ms: number) => Promise<unknown>
  /** Changed only by `waitForLock`. */
  readonly lock: { mayBeHeld: boolean }
}

/** @throws `config_invalid` */
export function createSession<Client>(options: MigrateOptions<Client>): Session<Client> {
  const { provider, client, tenantId, lockTtl = 30_000, lockTimeout = 10_000, signal } = options
  const { dialect } = provider.capabilities
  const environment = createEnvironment()
  // setInterval accepts no more, and treats a longer time as none.
  if (!(lockTtl > 0 && lockTtl < 2 ** 31))
    throw configError('lockTtl', `must be a number of milliseconds above 0 and below 2^31, not ${lockTtl}`)
  return {
    provider,
    client,
    tenantId,
    lockTtl,
    lockTimeout,
    allowUnordered: options.allowUnordered ?? false,
    signal,
    now: options.now ?? environment.now,
    sleep: options.sleep ?? environment.sleep,
    attempt: crypto.randomUUID(),
    sql: statement.bind(undefined, dialect),
    clock: () => options.now?.() ?? `1000 * ${NOW[dialect]}`,
    lock: { mayBeHeld: false },
  }
}

/** The journal, and whether another runner is in the way. */
export interface LockView {
  readonly journal: Journal
  /** `mine`: this run holds the lock. `free`: no runner does. `taken`: another one does. */
  readonly lock: 'mine' | 'free' | 'taken'
}

/**
 * Reads the journal until `decide` returns a value. It waits while another runner holds the lock. When the lock is free
 * (or the lease of its holder has expired) and `decide` still returns none, it takes the lock.
 *
 * The lock is a lease in a row: advisory locks and `GET_LOCK` belong to a connection, which a transaction pooler gives to
 * any client, and HTTP has none. The lock keeps runners from disturbing each other; the journal guarantees that
 * nothing runs twice.
 *
 * @throws `migration_locked` after `lockTimeout`, with the rest of the lease as `retryAfter`
 */
export async function waitForLock<Client, Value>(
  session: Session<Client>,
  decide: (view: LockView) => Value | undefined,
): Promise<Value> {
  const { attempt, now } = session
  const deadline = now() + session.lockTimeout
  for (let delay = 50; ; delay = Math.min(delay * 2, 1000)) {
    checkSignal(session)
    const journal = await readJournal(session)
    const lock = journal.owner === attempt ? 'mine' : journal.lease <= 0 ? 'free' : 'taken'
    const value = decide({ journal, lock })
    if (value !== undefined) return value

    const busy = lock === 'taken' ? undefined : await claimLock(session)
    // The next read shows which runner has it.
    if (busy === undefined && lock !== 'taken') continue
    const left = deadline - now()
    if (!(left > 0)) throw busy ?? createLockedError(session, journal.lease)
    await session.sleep(Math.min(delay, left))
  }
}

/** @returns the error of a database that is busy, as SQLite is while another runner writes */
async function claimLock<Client>(session: Session<Client>): Promise<TenancyError | undefined> {
  const { provider, client, clock, lock } = session
  // Before the claim, whose reply may be lost.
  lock.mayBeHeld = true
  try {
    await provider.query(client, writeLease(session, { condition: `expires_at <= ${clock()}` }))
    return undefined
  } catch (cause) {
    const error = provider.mapError(cause)
    if (!error.retryable) throw error
    return error
  }
}

function createLockedError<Client>({ tenantId }: Session<Client>, lease: number): TenancyError {
  const retryAfter = Math.ceil(lease / 1000)
  const problem = `another process is migrating it; its lock expires in ${retryAfter} s`
  return new TenancyError('migration_locked', problem, { tenantId, retryAfter })
}

/** @throws `timeout` once the signal is aborted */
export function checkSignal<Client>({ signal, tenantId }: Session<Client>): void {
  if (signal?.aborted) {
    const { reason: cause } = signal
    throw new TenancyError('timeout', 'Aborted before the next migration', { tenantId, cause })
  }
}

/** Renews the lease of this run. */
export function renewLease<Client>(session: Session<Client>): Statement {
  return writeLease(session, {})
}

/** Renews the lease of this run, or acquires it where `condition` holds. @param until SQL, in epoch ms */
function writeLease<Client>(
  { sql, attempt, clock, lockTtl }: Session<Client>,
  { condition = `owner = '${attempt}'`, until = `${clock()} + ${lockTtl}` },
): Statement {
  return sql(
    `UPDATE ${LOCK_TABLE} SET owner = ?, expires_at = ${until} WHERE slot = 1 AND ${condition}`,
    attempt,
  )
}

/** Renews the lease three times per `lockTtl` while `work` runs. */
export async function whileRenewingLease<Client>(
  session: Session<Client>,
  work: () => Promise<void>,
): Promise<void> {
  const { provider, client } = session
  // One failed renewal is harmless, because the next one follows; the journal's fence notices a lease that is lost.
  const renew = (): unknown => provider.query(client, renewLease(session)).catch(() => {})
  const timer = setInterval(renew, session.lockTtl / 3)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
}

/** Gives the lock back. It never fails, because a lease that is not given back expires. */
export async function releaseLock<Client>(session: Session<Client>): Promise<void> {
  const { provider, client, lock } = session
  if (lock.mayBeHeld) await provider.query(client, writeLease(session, { until: '0' })).catch(() => {})
}

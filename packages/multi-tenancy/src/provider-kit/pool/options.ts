import { configError } from '../../errors.ts'
import type { CallOptions } from '../../types/provider.ts'

/** What the pool was doing when a driver's error had no caller to reach. */
export type LeasePoolStep = 'open' | 'retarget' | 'clean' | 'close' | 'idle'

/** The driver's side of a lease pool, its limits in connections and its times in milliseconds. */
export interface LeasePoolOptions<Connection extends object, Target> {
  /** A new connection to the target, its identity verified. Its failure reaches one acquirer and is not kept. */
  open(target: Target, options: CallOptions): Promise<Connection>
  /** Ends the connection, by force if necessary. Called once for each connection, in any state. */
  close(connection: Connection): Promise<void>
  /**
   * Resets a released connection for its next caller. Any result but `true` destroys the connection: return `false`,
   * for example, when PostgreSQL's `ReadyForQuery` status is not idle. Without `clean` every released connection
   * counts as clean.
   */
  clean?(connection: Connection): boolean | Promise<boolean>
  /**
   * Turns an idle connection of another key into one of this target, its identity verified, as
   * `COM_CHANGE_USER` does. A throw destroys it, and a new one is opened.
   */
  retarget?(connection: Connection, target: Target, options: CallOptions): Promise<void>
  /**
   * Groups interchangeable connections, for example those of one login that serves all tenants. An idle connection may
   * serve any key of its group, and counts for none of them. A share key must differ from every key. Return `undefined`
   * for a connection that serves one key only.
   *
   * @default each key has connections of its own
   */
  shareKey?(target: Target): string | undefined
  /**
   * Whether the connection may be in an unknown state after the work of `use` threw this error: a timeout, an abort, a
   * protocol error. `use` destroys such a connection.
   *
   * @default true for every error
   */
  isSuspect?(error: unknown): boolean
  /**
   * Receives errors that no caller waits for: of `close`, `clean` and `retarget`, of an `open` given up, and of an idle
   * connection (`invalidate`).
   */
  onError?(error: unknown, step: LeasePoolStep): void
  /**
   * Connections in all, those being opened and closed included: the server counts them too.
   *
   * @default 20
   */
  readonly max?: number
  /**
   * Connections of one key, counted alike.
   *
   * @default 5
   */
  readonly maxPerKey?: number
  /**
   * Callers of one key that may wait for a connection; the next one is refused immediately. `Infinity` for no bound.
   * A waiting caller takes less than a kilobyte.
   *
   * @default 10_000
   */
  readonly maxWaiting?: number
  /**
   * Milliseconds an acquirer waits for its turn.
   *
   * @default 5_000
   */
  readonly queueTimeout?: number
  /**
   * Milliseconds an acquirer whose turn has come waits for its connection to open, eviction of another included.
   *
   * @default 15_000
   */
  readonly openTimeout?: number
  /**
   * Milliseconds the driver may take to clean, to close, or to give up opening once its signal is aborted.
   * After them the connection counts as gone.
   *
   * @default 5_000
   */
  readonly closeTimeout?: number
  /**
   * Milliseconds a connection is kept unused.
   *
   * @default 30_000
   */
  readonly idleTimeout?: number
  /**
   * Milliseconds a connection is kept at all, less up to a tenth at random; never cut short while leased.
   *
   * @default 1_800_000
   */
  readonly maxLifetime?: number
  /**
   * Leases a connection serves.
   *
   * @default Infinity
   */
  readonly maxUses?: number
  /** Milliseconds of a clock: for tests. */
  now?(): number
  /** From 0 to below 1: for tests. */
  random?(): number
  /** Calls back after `ms` milliseconds, and returns a function that cancels the timer: for tests. */
  setTimer?(callback: () => void, ms: number, options?: TimerOptions): () => void
}

export interface TimerOptions {
  /** The timer does not keep the process alive. */
  readonly background?: boolean
}

/** Every option but those without a sensible default. */
export type LeasePoolSettings<Connection extends object, Target> = LeasePoolOptions<Connection, Target> &
  Required<
    Omit<
      LeasePoolOptions<Connection, Target>,
      'open' | 'close' | 'clean' | 'retarget' | 'shareKey' | 'isSuspect' | 'onError'
    >
  >

/** @throws `config_invalid` naming the option that is not a number above 0, or not a count */
export function leasePoolSettings<Connection extends object, Target>(
  options: LeasePoolOptions<Connection, Target>,
): LeasePoolSettings<Connection, Target> {
  const counts = { max: 20, maxPerKey: 5, maxWaiting: 10_000, maxUses: Infinity }
  const times = {
    queueTimeout: 5_000,
    openTimeout: 15_000,
    closeTimeout: 5_000,
    idleTimeout: 30_000,
    maxLifetime: 1_800_000,
  }
  const settings = { ...counts, ...times, now: Date.now, random: Math.random, setTimer, ...options }
  for (const name of Object.keys({ ...counts, ...times }) as (keyof typeof counts | keyof typeof times)[]) {
    const value = settings[name]
    const least = name === 'maxWaiting' ? 0 : Number.MIN_VALUE
    if (!(value >= least)) throw configError(name, 'must be a number above 0')
    if (name in counts && value % 1 > 0) throw configError(name, 'must be a whole number')
  }
  return settings
}

/**
 * Checks the limits and times of a provider with a lease pool, by the names of the provider's own options. Each must be
 * above 0, and a number of connections or callers (`max…`, except `maxLifetime`) must be a whole number.
 *
 * @throws `config_invalid`, naming the option
 */
export function checkConnectionLimits(limits: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(limits)) {
    if (!(value > 0)) throw configError(name, 'must be a number above 0')
    if (/^max(?!Lifetime)/.test(name) && value % 1 > 0) throw configError(name, 'must be a whole number')
  }
}

// With a longer delay, setTimeout fires immediately.
const LONGEST = 2 ** 31 - 1

function setTimer(callback: () => void, ms: number, { background = false }: TimerOptions = {}): () => void {
  const timer: unknown = setTimeout(callback, Math.min(Math.max(ms, 0), LONGEST))
  if (background) (timer as { unref?(): void }).unref?.()
  return () => clearTimeout(timer as number)
}

import path from 'node:path'
import { checkConnectionLimits, configError, type Environment } from '@tenantry/multi-tenancy/provider'
import { type IntMode, parseIntMode } from '../libsql/int-mode.ts'
import { parseTimeout } from '../timeout-option.ts'

/** Where the database files are, and how many connections may be open. */
export interface LibsqlFileProviderOptions {
  /** The directory of all tenant databases. A missing one is created for this user only (mode 0700). */
  readonly root: string
  /**
   * Connections of all tenants together; each keeps up to three files open.
   *
   * @default 100
   */
  readonly maxConnections?: number
  /**
   * Connections of one tenant. Only open transactions need more than one: a statement blocks the process anyway.
   *
   * @default 5
   */
  readonly maxConnectionsPerTenant?: number
  /**
   * Statements and transactions of one tenant that may wait for a connection; the next one is refused with
   * `pool_exhausted`. `Infinity` for no bound.
   *
   * @default 10_000
   */
  readonly maxWaiting?: number
  /**
   * Milliseconds to wait for a free connection.
   *
   * @default 5_000
   */
  readonly queueTimeout?: number
  /**
   * Milliseconds to wait for a lock that another connection or process holds.
   *
   * @default 5_000
   */
  readonly busyTimeout?: number
  /**
   * Milliseconds after which a transaction without a statement is rolled back, so that a forgotten one does not keep
   * its tenant locked. (Turso ends one after 5 to 10 seconds.)
   *
   * @default 30_000
   */
  readonly transactionIdleTimeout?: number
  /**
   * Milliseconds that `drop` and `close` wait for running statements and transactions.
   *
   * @default 10_000
   */
  readonly drainTimeout?: number
  /**
   * How handlers receive integers, as in libSQL: `number` throws a `RangeError` for one beyond 2^53, `bigint` and
   * `string` return every integer.
   *
   * @default 'number'
   */
  readonly intMode?: IntMode
  /** Replaces the clock and sleep in tests. */
  readonly environment?: Partial<Pick<Environment, 'now' | 'sleep'>>
}

/** Every option with its default. */
export type LibsqlFileSettings = Required<Omit<LibsqlFileProviderOptions, 'environment'>> & {
  readonly environment: Pick<Environment, 'now' | 'sleep'>
}

/**
 * Applies the defaults and checks the options.
 *
 * @throws `config_invalid`, naming the option
 */
export function resolveFileOptions(options: LibsqlFileProviderOptions): LibsqlFileSettings {
  const { root, maxConnections = 100, maxConnectionsPerTenant = 5 } = options
  const { maxWaiting = 10_000, queueTimeout = 5_000, environment } = options
  const { busyTimeout = 5_000, transactionIdleTimeout = 30_000, drainTimeout = 10_000 } = options
  const limits = { maxConnections, maxConnectionsPerTenant, maxWaiting, queueTimeout }
  checkConnectionLimits(limits)
  // An empty path, such as one from an unset variable, would put databases into the working directory.
  if (typeof root !== 'string' || root === '' || root.includes('\0')) {
    throw configError('root', 'must be the path of a directory')
  }
  return {
    ...limits,
    root: path.resolve(root),
    intMode: parseIntMode(options.intMode),
    busyTimeout: parseTimeout('busyTimeout', busyTimeout, 0),
    transactionIdleTimeout: parseTimeout('transactionIdleTimeout', transactionIdleTimeout, 0),
    drainTimeout: parseTimeout('drainTimeout', drainTimeout, 0),
    environment: { now: Date.now, sleep, ...environment },
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

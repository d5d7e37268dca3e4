import { TenancyError } from '@tenantry/multi-tenancy/provider'
import type { Login } from '../driver-options.ts'
import { type Connection, type PendingReset, readCharsetNumber } from './connection.ts'
import { runStatement } from './run-statement.ts'

/**
 * Session state that MariaDB's `COM_CHANGE_USER` keeps, cleared in one statement before the user changes:
 *
 * - The profiler keeps running, independent of `@@profiling`, and would show the next user's statements to the previous
 *   one. With a history of size 0, the next profile deletes the last.
 * - The time that a write may take, and how often it is retried.
 * - `FOUND_ROWS()`, by a `SELECT` of our own.
 * - A prepared XA transaction, with which the server refuses every statement of the next user. It refuses this `ROLLBACK`
 *   too, and the connection is then closed, which alone detaches the transaction.
 */
const PRE_CHANGE_USER = `BEGIN NOT ATOMIC
SET SESSION net_write_timeout = DEFAULT, net_retry_count = DEFAULT, profiling_history_size = 0, profiling = 1;
SELECT 0 INTO @tenantry_reset;
SET SESSION profiling = 0;
ROLLBACK;
END`

/**
 * Turns a connection to another login, or clears its session for the same one: the server checks user, password and
 * database, rolls back, and clears the session.
 *
 * @throws what the server answers. The session is then undefined: destroy the connection.
 * @see https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_change_user.html
 */
export async function changeUser(connection: Connection, login: Login): Promise<void> {
  const { driver, isMariaDb, charset } = connection
  const { user, password, database } = login
  // All are queued immediately: a statement that the holder of a lease sends meanwhile runs after them.
  await Promise.all([
    isMariaDb && runStatement(driver, PRE_CHANGE_USER).catch(throwUnavailable),
    new Promise<void>((resolve, reject) => {
      const options = { user, password, charset, ...(database && { database }) }
      driver.changeUser(options, (error: unknown) => (error ? reject(error) : resolve()))
    }),
    setSqlMode(connection),
  ])
  connection.login = login
  // Meanwhile the session was in no database, so recreating the database did not end it.
  if (login.isShared) connection.verifiedTargets = new WeakSet()
  connection.taint = 'none'
}

/**
 * Clears the session for the same login. `COM_RESET_CONNECTION` does it without the password where it is enough: on
 * MariaDB, unless the current database or the character set may have changed. MySQL itself changes the character set
 * with a reset, and the driver does not learn of it.
 *
 * @throws what the server answers: destroy the connection
 */
export async function resetSession(connection: Connection): Promise<void> {
  const { driver, isMariaDb, taint, login } = connection
  if (!isMariaDb || taint === 'any' || hasOtherCharset(connection)) return changeUser(connection, login)
  const reset = new Promise<void>((resolve, reject) => {
    driver.reset((error: unknown) => (error ? reject(error) : resolve()))
  })
  await Promise.all([reset.catch(throwUnavailable), setSqlMode(connection)])
  connection.taint = 'none'
}

/** Schedules a reset for when the connection is not leased again immediately. */
export function scheduleReset(connection: Connection, onError: () => void): void {
  const timer = setImmediate(() => {
    pending.work = resetSession(connection)
    pending.work.catch(onError)
  })
  const pending: PendingReset = { timer }
  connection.pendingReset = pending
}

/** Cancels a scheduled reset. Returns the promise of one that has begun. */
export function cancelOrAwaitReset(connection: Connection): Promise<void> | undefined {
  const { pendingReset } = connection
  if (pendingReset === undefined) return undefined
  connection.pendingReset = undefined
  clearImmediate(pendingReset.timer)
  return pendingReset.work
}

/** A session that cannot be cleared says nothing about the caller's statement: the next attempt gets a new connection. */
function throwUnavailable(cause: unknown): never {
  throw new TenancyError('provider_unavailable', 'The server refused to reset the session of a connection', {
    retryAfter: 1,
    cause,
  })
}

async function setSqlMode({ driver, setSqlMode: statement }: Connection): Promise<void> {
  if (statement !== undefined) await runStatement(driver, statement)
}

/** Whether a statement changed the character set: the driver follows the change, but not its undoing by a reset. */
function hasOtherCharset({ driver, charsetNumber }: Connection): boolean {
  return readCharsetNumber(driver) !== charsetNumber
}

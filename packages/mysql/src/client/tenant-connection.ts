import { EventEmitter } from 'node:events'
import { type Lease, TenancyError } from '@tenantry/multi-tenancy/provider'
import type { PoolConnection } from 'mysql2'
import { type Connection, connectionEnded, type Holder } from '../connections/connection.ts'
import { changeUser } from '../connections/reset.ts'
import { maxTaint, type SessionTaint } from '../connections/session-taint.ts'
import { classifyArguments } from './classify-arguments.ts'
import { type Callback, type Command, type CommandTracker, createCommandTracker } from './command-tracker.ts'

/** What the driver's `prepare` returns. */
interface PreparedStatement {
  execute(...args: unknown[]): Command
  close(): void
}

export interface TenantConnectionOptions {
  /** Converts an error for the user of the client. */
  readonly toClientError: (error: unknown) => unknown
  /** Has the server end a connection that was destroyed, and with it the statement that still runs there. */
  readonly cancel: (connection: Connection) => Promise<void>
  /** Called when the connection goes back to the pool. */
  readonly onRelease: (connection: PoolConnection) => void
}

/**
 * Creates a `PoolConnection` of `mysql2` that works until it is released, and never reaches the connection after that.
 * The connection goes back to the pool only when nothing runs on it; in doubt it is closed.
 *
 * Destroyed while a statement runs, it has the server cancel that statement before the statement's caller gets an error.
 */
export function createTenantConnection(
  lease: Lease<Connection>,
  { toClientError, cancel, onRelease }: TenantConnectionOptions,
): PoolConnection {
  const { connection } = lease
  const emitter = new EventEmitter()
  const tracker = createCommandTracker(toClientError, destroy)
  let isOver = false

  const holder: Holder = {
    onEnd() {
      destroy()
      emitter.emit('end')
    },
    onError: (error) => void (emitter.listenerCount('error') > 0 && emitter.emit('error', error)),
  }
  connection.holder = holder

  function release(): void {
    if (isOver) return
    if (tracker.isInDoubt || tracker.running > 0) {
      destroy()
      return
    }
    isOver = true
    connection.holder = undefined
    // A connection that was left paused would never answer its next user.
    connection.driver.resume()
    lease.release()
    onRelease(tenantConnection)
  }

  function destroy(): void {
    if (isOver) return
    isOver = true
    const isRunning = tracker.running > 0 && !connection.ended.signal.aborted
    if (connection.holder === holder) connection.holder = undefined
    connection.isAbandoned = true
    lease.destroy()
    if (isRunning) void rejectCancelled()
    else tracker.rejectAll(connectionEnded())
  }

  async function rejectCancelled(): Promise<void> {
    const [outcome] = await Promise.allSettled([cancel(connection)])
    const isCancelled = outcome.status === 'fulfilled'
    tracker.rejectAll(
      new TenancyError(
        'provider_unavailable',
        isCancelled
          ? 'The database connection was destroyed, and its statement was cancelled'
          : 'The database connection was destroyed, and its statement could not be cancelled: it may have completed',
        isCancelled ? { retryAfter: 1 } : { cause: toClientError(outcome.reason) },
      ),
    )
  }

  const members = createMembers({ lease, tracker, release, destroy, isOver: () => isOver })
  // Without the password. A getter, because to copy the options takes a while and few callers read them.
  const config = {
    get: (): object => ({ ...connection.driver.config, password: undefined, passwordSha1: undefined }),
  }
  const shape = Object.defineProperty(Object.assign(emitter, members), 'config', config)
  const tenantConnection = shape as unknown as PoolConnection
  return tenantConnection
}

interface MemberOptions {
  readonly lease: Lease<Connection>
  readonly tracker: CommandTracker
  readonly release: () => void
  readonly destroy: () => void
  readonly isOver: () => boolean
}

/** The members of a `PoolConnection`, by the lease's connection. Most of them throw once the lease is over. */
function createMembers({ lease, tracker, release, destroy, isOver }: MemberOptions): object {
  const { connection } = lease
  const { driver } = connection

  /** Records what a statement may leave. Throws once the lease is over. */
  function addTaint(taint: SessionTaint): void {
    const { connection } = lease
    connection.taint = maxTaint(connection.taint, taint)
  }

  function send(taint: SessionTaint, args: unknown[], call: (args: any[]) => unknown): Command {
    addTaint(taint)
    return tracker.send(args, call)
  }

  /** Limits a prepared statement to the lease. The driver's own would reach the connection afterwards. */
  function limitToLease(prepared: PreparedStatement): PreparedStatement {
    return Object.assign(Object.create(prepared) as PreparedStatement, {
      execute: (...args: unknown[]) => send('any', args, (watched) => prepared.execute(...watched)),
      close: () => void (isOver() || prepared.close()),
    })
  }

  const query = (...args: unknown[]): Command =>
    send(classifyArguments(args), args, (watched) => driver.query(...(watched as [string])))
  const statement = (sql: string) => (callback?: Callback) => query(...(callback ? [sql, callback] : [sql]))
  const refuse = (message: string, callback?: unknown): void => {
    const error = new TenancyError('not_supported', message)
    if (typeof callback !== 'function') throw error
    callback(error)
  }

  return {
    query,
    execute: (...args: unknown[]) =>
      send(classifyArguments(args), args, (watched) => driver.execute(...(watched as [string]))),
    prepare(options: string, callback: Callback = () => {}) {
      addTaint('any')
      const done = tracker.watch(callback)
      return driver.prepare(options, (error, prepared) =>
        error ? done(error) : done(null, limitToLease(prepared as unknown as PreparedStatement)),
      )
    },
    unprepare: (sql: string) => lease.connection.driver.unprepare(sql),
    beginTransaction: statement('START TRANSACTION'),
    commit: statement('COMMIT'),
    rollback: statement('ROLLBACK'),
    ping(callback: Callback = () => {}) {
      addTaint('none')
      driver.ping(tracker.watch(callback))
    },
    reset(callback: Callback = () => {}) {
      addTaint('any')
      const done = tracker.watch(callback)
      changeUser(connection, connection.login).then(() => {
        // Statements that were sent meanwhile run after the reset.
        connection.taint = 'any'
        done(null)
      }, done)
    },
    changeUser: (_: unknown, callback?: Callback) =>
      refuse('changeUser() is not supported on a tenant connection', callback),
    escape: (value: unknown) => driver.escape(value),
    escapeId: (value: string) => driver.escapeId(value),
    format: (sql: string, values?: unknown) => driver.format(sql, values as unknown[]),
    pause: () => lease.connection.driver.pause(),
    resume: () => lease.connection.driver.resume(),
    connect: (callback?: Callback) => callback?.(null),
    release,
    destroy,
    close: destroy,
    end(callback?: Callback) {
      release()
      callback?.(null)
    },
    promise: () => refuse('promise() is not supported on a tenant connection; use pool.promise()'),
    threadId: driver.threadId,
  }
}

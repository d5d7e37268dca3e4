import { EventEmitter, errorMonitor } from 'node:events'
import { type Lease, TenancyError } from '@tenantry/multi-tenancy/provider'
import type { PoolConnection } from 'mysql2'
import { type Connection, connectionEnded, type Holder } from '../connections/connection.ts'
import { changeUser } from '../connections/reset.ts'
import { classifyTaint, maxTaint, type SessionTaint } from '../connections/session-taint.ts'
import { leavesNoDoubt } from '../errors.ts'

export type Callback = (error: unknown, ...results: unknown[]) => void

/** What the driver's `query` and `execute` return: an emitter that emits `end` once. */
type Command = EventEmitter

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
  const { driver } = connection
  /** The callbacks that wait for the server. */
  const pending = new Set<(error: unknown) => void>()
  const emitter = new EventEmitter()
  let running = 0
  let isInDoubt = false
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
    if (isInDoubt || running > 0) {
      destroy()
      return
    }
    isOver = true
    connection.holder = undefined
    // A connection that was left paused would never answer its next user.
    driver.resume()
    lease.release()
    onRelease(tenantConnection)
  }

  function destroy(): void {
    if (isOver) return
    isOver = true
    const isRunning = running > 0 && !connection.ended.signal.aborted
    if (connection.holder === holder) connection.holder = undefined
    connection.isAbandoned = true
    lease.destroy()
    if (isRunning) void rejectCancelled()
    else rejectPending(connectionEnded())
  }

  /** The driver does not call the callbacks of a connection that is destroyed. */
  function rejectPending(error: TenancyError): void {
    for (const reject of [...pending]) reject(error)
  }

  async function rejectCancelled(): Promise<void> {
    const [outcome] = await Promise.allSettled([cancel(connection)])
    const isCancelled = outcome.status === 'fulfilled'
    rejectPending(
      new TenancyError(
        'provider_unavailable',
        isCancelled
          ? 'The database connection was destroyed, and its statement was cancelled'
          : 'The database connection was destroyed, and its statement could not be cancelled: it may have completed',
        isCancelled ? { retryAfter: 1 } : { cause: toClientError(outcome.reason) },
      ),
    )
  }

  /** Records what a statement may leave. Throws once the lease is over. */
  function addTaint(taint: SessionTaint): void {
    const { connection } = lease
    connection.taint = maxTaint(connection.taint, taint)
  }

  /** The callback, called once: with the answer, or when the connection ends without one. */
  function watch(callback: Callback): Callback {
    let isSettled = false
    const settle: Callback = (error, ...results) => {
      if (isSettled) return
      isSettled = true
      pending.delete(settle)
      if (!error) {
        callback(null, ...results)
        return
      }
      if (!leavesNoDoubt(error)) isInDoubt = true
      // The server goes on with the statement, and its answer must not reach another one.
      if ((error as { code?: unknown }).code === 'PROTOCOL_SEQUENCE_TIMEOUT') destroy()
      callback(toClientError(error))
    }
    pending.add(settle)
    return settle
  }

  /** As `watch`, for a command without events: the connection is busy until the callback is called. */
  function watchRunning(callback: Callback): Callback {
    running++
    return watch((...answer) => {
      running--
      callback(...answer)
    })
  }

  /** Calls the driver with watched callbacks, and counts the command until it ends. */
  function send(taint: SessionTaint, args: unknown[], call: (args: any[]) => unknown): Command {
    addTaint(taint)
    const hasCallback = args.some((arg) => typeof arg === 'function')
    running++
    try {
      const command = call(
        args.map((arg) => (typeof arg === 'function' ? watch(arg as Callback) : arg)),
      ) as Command
      const reject = (error: unknown): void =>
        void (command.listenerCount('error') > 0 && command.emit('error', error))
      if (!hasCallback) {
        pending.add(reject)
        command.on(errorMonitor, (error) => {
          if (!leavesNoDoubt(error)) isInDoubt = true
        })
      }
      command.once('end', () => {
        pending.delete(reject)
        running--
      })
      return command
    } catch (error) {
      running--
      throw error
    }
  }

  /** Limits a prepared statement to the lease. The driver's own would reach the connection afterwards. */
  function limitToLease(prepared: PreparedStatement): PreparedStatement {
    return Object.assign(Object.create(prepared) as PreparedStatement, {
      execute: (...args: unknown[]) => send('any', args, (watched) => prepared.execute(...watched)),
      close: () => void (isOver || prepared.close()),
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

  const members = {
    query,
    execute: (...args: unknown[]) =>
      send(classifyArguments(args), args, (watched) => driver.execute(...(watched as [string]))),
    prepare(options: string, callback: Callback = () => {}) {
      addTaint('any')
      const done = watchRunning(callback)
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
      driver.ping(watchRunning(callback))
    },
    reset(callback: Callback = () => {}) {
      addTaint('any')
      const done = watchRunning(callback)
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
  // Without the password. A getter, because to copy the options takes a while and few read them.
  const config = {
    get: (): object => ({ ...driver.config, password: undefined, passwordSha1: undefined }),
  }
  const shape = Object.defineProperty(Object.assign(emitter, members), 'config', config)
  const tenantConnection = shape as unknown as PoolConnection
  return tenantConnection
}

/** Classifies the statement in the arguments of `query`. A value with SQL of its own (`mysql.raw`) makes it unknown. */
function classifyArguments([input, values]: readonly unknown[]): SessionTaint {
  const isObject = typeof input === 'object' && input !== null
  const { sql = '', values: ownValues }: { sql?: unknown; values?: unknown } = isObject
    ? input
    : { sql: input }
  return containsSql([values, ownValues]) ? 'any' : classifyTaint(String(sql))
}

/** Searches as deep as the driver does: in lists of lists, and in the columns of an object. */
function containsSql(value: unknown, objects = 2): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  if (typeof (value as { toSqlString?: unknown }).toSqlString === 'function') return true
  if (Array.isArray(value)) return value.some((each) => containsSql(each, objects))
  return objects > 0 && Object.values(value).some((each) => containsSql(each, objects - 1))
}

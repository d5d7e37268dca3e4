import { EventEmitter, errorMonitor } from 'node:events'
import { type Lease, TenancyError } from '@tenantry/multi-tenancy'
import type { PoolConnection } from 'mysql2'
import { type Connection, changeUser, type Holder } from '../connections/connection.ts'
import type { Internals } from '../connections/messages.ts'
import { type Trace, traceOf, worse } from '../connections/session-taint.ts'
import { leavesNoDoubt } from '../errors.ts'

type Callback = (error: unknown, ...results: unknown[]) => void

/** What the driver's `query` and `execute` give: an emitter that ends once. */
interface Command extends EventEmitter {
  onResult?: Callback
  sql?: string
}

/** What the driver's `prepare` gives. */
interface Prepared {
  execute(...given: unknown[]): Command
  close(): void
}

/**
 * A `PoolConnection` of `mysql2` that works until it is released, and never reaches the connection after that. It
 * goes back only when nothing of it is under way; in doubt it is ended.
 *
 * @param tell what the user of the client gets for an error
 */
export function createLeasedConnection(
  held: Lease<Connection>,
  tell: (error: unknown) => unknown,
): PoolConnection {
  const { connection } = held
  const { client } = connection
  /** Callbacks that wait for the server. */
  const pending = new Set<(error: unknown) => void>()
  const emitter = new EventEmitter()
  let busy = 0
  let doubt = false
  let over = false

  const holder: Holder = {
    onEnd() {
      finish(true)
      emitter.emit('end')
    },
    onError: (error) => void (emitter.listenerCount('error') > 0 && emitter.emit('error', error)),
  }
  connection.holder = holder

  function finish(broken: boolean): void {
    if (over) return
    over = true
    if (connection.holder === holder) connection.holder = undefined
    if (!broken && !doubt && busy === 0) {
      // Paused, it would answer nobody.
      if ((client as unknown as Internals)._paused) client.resume()
      held.release()
      return
    }
    held.destroy()
    // The driver forgets who waits on a connection that was destroyed.
    const error = new TenancyError('provider_unavailable', 'The database connection ended', { retryAfter: 1 })
    for (const reject of [...pending]) reject(error)
  }

  /** Throws once the lease is over. */
  function note(trace: Trace): void {
    const { connection } = held
    connection.trace = worse(connection.trace, trace)
  }

  /** The callback, called once: with the answer, or when the connection ends without one. */
  function watch(callback: Callback): Callback {
    let settled = false
    const settle = (error: unknown, ...results: unknown[]): void => {
      if (settled) return
      settled = true
      pending.delete(settle)
      if (!error) {
        callback(null, ...results)
        return
      }
      if (!leavesNoDoubt(error)) doubt = true
      // The server goes on with it, and what it answers must not reach another.
      if ((error as { code?: unknown }).code === 'PROTOCOL_SEQUENCE_TIMEOUT') finish(true)
      callback(tell(error))
    }
    pending.add(settle)
    return settle
  }

  /** The same, and the connection is busy until then. */
  function awaited(callback: Callback): Callback {
    busy++
    return watch((...answer) => {
      busy--
      callback(...answer)
    })
  }

  /** Sends a command of the driver, its callback watched. */
  function send(trace: Trace, given: unknown[], run: (...passed: any[]) => unknown): unknown {
    note(trace)
    // A pool's `query` hands over a command it made before it had a connection.
    const command = given[0] as Command
    if (typeof command?.onResult === 'function') command.onResult = watch(command.onResult)
    const passed = given.map((each) => (typeof each === 'function' ? watch(each as Callback) : each))
    busy++
    try {
      const sent = run(...passed) as Command
      const drop = (error: unknown): void =>
        void (sent.listenerCount('error') > 0 && sent.emit('error', error))
      if (passed.length > 0 && !passed.some((each) => typeof each === 'function') && !command?.onResult) {
        pending.add(drop)
        sent.on(errorMonitor, (error) => {
          if (!leavesNoDoubt(error)) doubt = true
        })
      }
      sent.once('end', () => {
        pending.delete(drop)
        busy--
      })
      return sent
    } catch (error) {
      busy--
      throw error
    }
  }

  /** For as long as the lease: the driver's own reaches the connection ever after. */
  function bind(prepared: Prepared): Prepared {
    const bound: Prepared = {
      execute: (...given) => send('any', given, (...passed) => prepared.execute(...passed)) as Command,
      close: () => void (over || prepared.close()),
    }
    return Object.assign(Object.create(prepared) as Prepared, bound)
  }

  const query = (...given: unknown[]) =>
    send(traceIn(given), given, (...passed) => client.query(...(passed as [string])))
  const statement = (sql: string) => (callback?: Callback) => query(...(callback ? [sql, callback] : [sql]))
  const refuse = (callback?: Callback): void => {
    const error = new TenancyError('not_supported', 'The connection is one tenant’s: it changes no user')
    if (typeof callback !== 'function') throw error
    callback(error)
  }

  const leased = {
    query,
    execute: (...given: unknown[]) =>
      send(traceIn(given), given, (...passed) => client.execute(...(passed as [string]))),
    prepare(options: string, callback: Callback = () => {}) {
      note('any')
      const done = awaited(callback)
      return client.prepare(options, (error, prepared) =>
        error ? done(error) : done(null, bind(prepared as unknown as Prepared)),
      )
    },
    unprepare: (sql: string) => held.connection.client.unprepare(sql),
    beginTransaction: statement('START TRANSACTION'),
    commit: statement('COMMIT'),
    rollback: statement('ROLLBACK'),
    ping(callback: Callback = () => {}) {
      note('none')
      client.ping(awaited(callback))
    },
    reset(callback: Callback = () => {}) {
      note('any')
      const done = awaited(callback)
      changeUser(connection, connection.login).then(() => {
        // What was sent meanwhile comes after it.
        connection.trace = 'any'
        done(null)
      }, done)
    },
    changeUser: (_: unknown, callback?: Callback) => refuse(callback),
    escape: (value: unknown) => client.escape(value),
    escapeId: (value: string) => client.escapeId(value),
    format: (sql: string, values?: unknown) => client.format(sql, values as unknown[]),
    pause: () => held.connection.client.pause(),
    resume: () => held.connection.client.resume(),
    connect(callback?: Callback) {
      callback?.(null)
    },
    release: () => finish(false),
    destroy: () => finish(true),
    close: () => finish(true),
    end(callback?: Callback) {
      finish(false)
      callback?.(null)
    },
    promise(): never {
      throw new TenancyError('not_supported', 'Take the connection from the pool of promises')
    },
    threadId: client.threadId,
  }
  // Without the password. To copy it all takes a while, and few look at it.
  const config = (): object => ({ ...client.config, password: undefined, passwordSha1: undefined })
  return Object.defineProperty(Object.assign(emitter, leased), 'config', {
    get: config,
  }) as unknown as PoolConnection
}

/** A value that brings SQL of its own (`mysql.raw`) makes a text that nobody has looked at. */
function traceIn([input, values]: readonly unknown[]): Trace {
  const { sql = '', values: own } = (
    typeof input === 'object' && input !== null ? input : { sql: input }
  ) as {
    sql?: unknown
    values?: unknown
  }
  return bringsSql([values, own]) ? 'any' : traceOf(String(sql))
}

/** Looks as deep as the driver does: into lists of lists, and columns of an object, which may have a name itself. */
function bringsSql(value: unknown, objects = 2): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  if (typeof (value as { toSqlString?: unknown }).toSqlString === 'function') return true
  if (Array.isArray(value)) return value.some((each) => bringsSql(each, objects))
  return objects > 0 && Object.values(value).some((each) => bringsSql(each, objects - 1))
}

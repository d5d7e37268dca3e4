import { EventEmitter } from 'node:events'
import { type Lease, TenancyError } from '@tenantry/multi-tenancy'
import type { PoolConnection } from 'mysql2'
import { type Connection, changeUser, type Holder } from './connection.ts'
import { leavesNoDoubt } from './errors.ts'
import { type Trace, traceOf, worse } from './statements.ts'

type Callback = (error: unknown, ...results: unknown[]) => void

/** What the driver's `query` and `execute` give: an emitter that ends once. */
interface Command extends EventEmitter {
  onResult?: Callback
  sql?: string
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

  /** Sends a command of the driver, its callback watched. */
  function send(method: 'query' | 'execute' | 'prepare', given: unknown[]): unknown {
    const [input] = given
    note(method === 'prepare' ? 'any' : traceIn(given))
    // A pool's `query` hands over a command it made before it had a connection.
    const command = input as Command
    if (typeof command?.onResult === 'function') command.onResult = watch(command.onResult)
    const passed = given.map((each) => (typeof each === 'function' ? watch(each as Callback) : each))
    busy++
    try {
      const sent = (client[method] as (...all: unknown[]) => Command)(...passed)
      const drop = (error: unknown): void =>
        void (sent.listenerCount('error') > 0 && sent.emit('error', error))
      if (passed.length > 0 && !passed.some((each) => typeof each === 'function') && !command?.onResult)
        pending.add(drop)
      if (method === 'prepare') busy--
      else
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

  const statement = (sql: string) => (callback?: Callback) =>
    send('query', callback ? [sql, callback] : [sql])
  const refuse = (callback?: Callback): void => {
    const error = new TenancyError('not_supported', 'The connection is one tenant’s: it changes no user')
    if (typeof callback !== 'function') throw error
    callback(error)
  }

  const leased = {
    query: (...given: unknown[]) => send('query', given),
    execute: (...given: unknown[]) => send('execute', given),
    prepare: (...given: unknown[]) => send('prepare', given),
    unprepare: (sql: string) => held.connection.client.unprepare(sql),
    beginTransaction: statement('START TRANSACTION'),
    commit: statement('COMMIT'),
    rollback: statement('ROLLBACK'),
    ping(callback?: Callback) {
      note('none')
      client.ping(callback ? watch(callback) : undefined)
    },
    reset(callback: Callback = () => {}) {
      const done = watch(callback)
      changeUser(held.connection, held.connection.login).then(() => done(null), done)
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
  const all = [values, own].flat(2)
  if (all.some((each) => typeof (each as { toSqlString?: unknown } | null)?.toSqlString === 'function'))
    return 'any'
  return traceOf(String(sql))
}

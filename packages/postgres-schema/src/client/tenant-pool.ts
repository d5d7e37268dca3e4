import { type Lease, TenancyError } from '@tenantry/multi-tenancy'
import { escapeIdentifier, escapeLiteral, Pool, type PoolClient, type QueryResult } from 'pg'
import type { Connection } from '../connections/connection.ts'
import { statusOf } from '../connections/connection.ts'
import type { QueryInput } from '../connections/unit.ts'
import { leavesNoDoubt } from '../errors.ts'
import type { Statements } from './statements.ts'

/** What the client of one tenant works with. */
export interface TenantPoolOptions {
  /** A connection for the tenant, once it may be served. */
  readonly lease: () => Promise<Lease<Connection>>
  readonly statements: Statements
  /** Throws what the user of the client gets; it may need a connection to find out. */
  readonly fail: (error: unknown) => Promise<never>
  /** Throws it without asking anybody. */
  readonly surface: (error: unknown) => never
  /** Connections one tenant may have. */
  readonly max: number
  /** Called once, when a handler ends the client: the next request needs another one. */
  readonly onEnd: () => void
}

type Callback<Value> = (error: Error | undefined, value?: Value, release?: (error?: unknown) => void) => void

/**
 * A `pg.Pool` bound to one tenant, that holds no connection: each query leases one and gives it back, and `connect`
 * leases one until `release`. Ending it closes no connection.
 */
export function createTenantPool(options: TenantPoolOptions): Pool {
  const { lease, statements, fail, max, onEnd } = options
  // A real one, never connected, so that `instanceof` and the emitter are what libraries expect.
  const pool = new Pool({ max })
  let ended = false
  let waiting = 0
  let leased = 0

  async function acquire(): Promise<Lease<Connection>> {
    if (ended) throw new TenancyError('closed', 'The client was closed')
    waiting++
    try {
      return await lease()
    } finally {
      waiting--
    }
  }

  async function query(input: QueryInput): Promise<QueryResult> {
    try {
      const held = await acquire()
      leased++
      try {
        const result = await statements.single(held.connection, input)
        held.release()
        return result
      } catch (error) {
        if (leavesNoDoubt(error)) held.release()
        else held.destroy()
        throw error
      } finally {
        leased--
      }
    } catch (error) {
      return fail(error)
    }
  }

  async function connect(): Promise<PoolClient> {
    const held = await acquire().catch(fail)
    leased++
    const client = createLeasedClient(held, options, (error) => {
      leased--
      pool.emit('release', error, client)
    })
    pool.emit('acquire', client)
    return client
  }

  Object.defineProperties(pool, {
    // Kysely would connect with it, to wherever the environment points, to cancel a query; without, it asks the pool.
    Client: { value: undefined },
    totalCount: { get: () => leased },
    idleCount: { get: () => 0 },
    waitingCount: { get: () => waiting },
  })
  return Object.assign(pool, {
    query(input: unknown, values?: unknown, callback?: unknown) {
      const { config, done, submittable } = argumentsOf(input, values, callback)
      if (submittable)
        throw new TenancyError('not_supported', 'A cursor or stream needs a client: use connect()')
      return answer(query(config), done)
    },
    connect(callback?: Callback<PoolClient>) {
      if (callback === undefined) return connect()
      connect().then(
        (client) => callback(undefined, client, client.release as (error?: unknown) => void),
        (error) => callback(error, undefined, () => {}),
      )
    },
    async end(callback?: () => void) {
      if (!ended) {
        ended = true
        onEnd()
      }
      callback?.()
    },
  } as unknown as Partial<Pool>)
}

/** A `pg.PoolClient` that works until it is released, and never reaches the connection after that. */
function createLeasedClient(
  held: Lease<Connection>,
  { statements, fail, surface }: TenantPoolOptions,
  onRelease: (error: unknown) => void,
): PoolClient {
  const { client: physical } = held.connection
  const listeners = ['notice', 'notification'].map((event) => {
    const listener = (message: unknown): void => void client.emit(event, message)
    physical.on(event as 'notice', listener)
    return () => physical.removeListener(event, listener)
  })
  const ended = (): void => void (client.listenerCount('end') > 0 && client.emit('end'))
  physical.once('end', ended)
  let released = false
  let busy = 0

  async function query(input: QueryInput): Promise<QueryResult> {
    busy++
    try {
      return await statements.next(held.connection, input)
    } catch (error) {
      if (leavesNoDoubt(error)) return surface(error)
      // Ended first: who asks what became of the tenant may need its place.
      held.destroy()
      return fail(error)
    } finally {
      busy--
    }
  }

  const emitter: object = Object.getPrototypeOf(Pool.prototype)
  const client: PoolClient = Object.assign(Object.create(emitter), {
    escapeIdentifier,
    escapeLiteral,
    processID: (physical as unknown as { processID: number }).processID,
    getTransactionStatus: () => statusOf(held.connection.client),
    getTypeParser: physical.getTypeParser.bind(physical),
    query(input: unknown, values?: unknown, callback?: unknown) {
      const { config, done, submittable } = argumentsOf(input, values, callback)
      if (submittable) return statements.submit(held.connection, input as never)
      return answer(query(config), done)
    },
    release(error?: unknown) {
      if (released) throw new Error('Release called on client which has already been released to the pool.')
      released = true
      for (const stop of listeners) stop()
      physical.removeListener('end', ended)
      // What is still running would be read by the next.
      if (error || busy > 0) held.destroy()
      else held.release()
      onRelease(error)
    },
  })
  return client
}

/** `query(text, values?, callback?)`, `query(config, …)` or `query(submittable)`. */
function argumentsOf(
  input: unknown,
  values: unknown,
  callback: unknown,
): { config: QueryInput; done: Callback<QueryResult> | undefined; submittable: boolean } {
  if (input === null || input === undefined)
    throw new TypeError('Client was passed a null or undefined query')
  const config: Record<string, unknown> =
    typeof input === 'string' ? { text: input } : { ...(input as object) }
  if (Array.isArray(values)) config.values = values
  const done = [values, callback, config.callback].find((each) => typeof each === 'function')
  const submittable = typeof (input as { submit?: unknown }).submit === 'function'
  return { config, done: done as Callback<QueryResult> | undefined, submittable }
}

/** As the driver does: a promise, or nothing where there is a callback. */
function answer<Value>(
  work: Promise<Value>,
  callback: Callback<Value> | undefined,
): Promise<Value> | undefined {
  if (callback === undefined) return work
  work.then(
    (value) => callback(undefined, value),
    (error) => callback(error),
  )
}

import { type Lease, TenancyError } from '@tenantry/multi-tenancy/provider'
import { Pool, type PoolClient, type QueryResult, type Submittable } from 'pg'
import type { Connection } from '../connections/connection.ts'
import type { QueryInput } from '../connections/pipeline.ts'
import { runLeased } from '../connections/run-leased.ts'
import { type Callback, deliver, parseArguments } from './arguments.ts'
import { type CancelRequest, createControlClient } from './control-client.ts'
import type { Statements } from './statements.ts'
import { createTenantConnection } from './tenant-connection.ts'

/** What the client of one tenant works with. */
export interface TenantPoolOptions {
  /** Leases a connection for the tenant, once the tenant may be served. */
  readonly lease: () => Promise<Lease<Connection>>
  readonly statements: Statements
  /** Throws what the app receives. Finding out may take a connection. */
  readonly fail: (error: unknown) => Promise<never>
  /** Throws what the app receives, without finding out what became of the tenant. */
  readonly throwClientError: (error: unknown) => never
  /** Connections one tenant may have. */
  readonly max: number
  /** Called once, when a handler ends the client: the next request needs another one. */
  readonly onEnd: () => void
  /** Cancels what a server process runs, or ends the process. */
  readonly cancel: CancelRequest
}

/**
 * A `pg.Pool` bound to one tenant, that holds no connection: each query leases one and gives it back, and `connect`
 * leases one until `release`. Ending it closes no connection.
 */
export function createTenantPool(options: TenantPoolOptions): Pool {
  const { lease, statements, fail, throwClientError, max, onEnd } = options
  // A real pool that never connects, so that `instanceof` and the emitter are what libraries expect.
  const pool = new Pool({ max })
  /** Connections that have served this tenant. */
  const known = new WeakSet<Connection>()
  /** The connections of current leases, by the server process. */
  const leasedConnections = new Map<number, Connection>()
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

  async function runAlone(input: QueryInput): Promise<QueryResult> {
    try {
      const lease = await acquire()
      leased++
      try {
        return await runLeased(lease, (connection) => statements.single(connection, input))
      } finally {
        leased--
      }
    } catch (error) {
      return fail(error)
    }
  }

  /** The same with the client that listeners of the pool's events receive. */
  async function runObserved(input: QueryInput): Promise<QueryResult> {
    const client = await connect()
    try {
      return await client.query(input as never)
    } finally {
      client.release()
    }
  }

  function query(input: QueryInput): Promise<QueryResult> {
    const observed = ['connect', 'acquire', 'release', 'remove'].some(
      (event) => pool.listenerCount(event) > 0,
    )
    return observed ? runObserved(input) : runAlone(input)
  }

  async function connect(): Promise<PoolClient> {
    const lease = await acquire().catch(fail)
    const { connection } = lease
    const { processID } = connection
    leased++
    if (processID !== undefined) leasedConnections.set(processID, connection)
    const client = createTenantConnection({
      lease: lease,
      statements: statements.lease(connection),
      fail,
      throwClientError,
      isTainted: () => connection.cancelRequested === true,
      onRelease(error) {
        leased--
        if (processID !== undefined) leasedConnections.delete(processID)
        pool.emit('release', error, client)
      },
    })
    if (!known.has(connection)) {
      known.add(connection)
      // Without a listener of `remove`, nothing is attached: a shared connection would keep the pool of every tenant alive.
      if (pool.listenerCount('remove') > 0) connection.client.once('end', () => pool.emit('remove', client))
      pool.emit('connect', client)
    }
    pool.emit('acquire', client)
    return client
  }

  Object.defineProperties(pool, {
    // Kysely cancels a query through another client of this class.
    Client: { value: createControlClient(leasedConnections, options.cancel) },
    totalCount: { get: () => leased },
    idleCount: { get: () => 0 },
    waitingCount: { get: () => waiting },
  })
  return Object.assign(
    pool,
    createPoolMethods({
      query,
      connect,
      end() {
        if (!ended) onEnd()
        ended = true
      },
    }),
  )
}

/** The methods of a pool in the shapes of the driver: with promises and with callbacks. */
function createPoolMethods({
  query,
  connect,
  end,
}: {
  readonly query: (input: QueryInput) => Promise<QueryResult>
  readonly connect: () => Promise<PoolClient>
  readonly end: () => void
}): Partial<Pool> {
  return {
    query(input: unknown, values?: unknown, callback?: unknown) {
      if (typeof input === 'function') return rejectFunction(input as Callback<never>)
      const call = parseArguments(input, values, callback)
      if (call.submittable !== undefined) return rejectSubmittable(call.submittable)
      return deliver(query(call.config), call.callback)
    },
    connect(callback?: Callback<PoolClient>) {
      if (callback === undefined) return connect()
      connect().then(
        (client) => callback(undefined, client, client.release as (error?: unknown) => void),
        (error) => callback(error, undefined, () => {}),
      )
    },
    async end(callback?: () => void) {
      end()
      callback?.()
    },
  } as unknown as Partial<Pool>
}

/** As `pg-pool` does. */
function rejectFunction(callback: Callback<never>): void {
  const message = 'Passing a function as the first parameter to pool.query is not supported'
  queueMicrotask(() => callback(new Error(message)))
}

function rejectSubmittable(query: Submittable): Submittable {
  const error = new TenancyError('not_supported', 'A cursor or stream needs a client: use connect()')
  const { handleError } = query as { handleError?: (error: unknown) => void }
  queueMicrotask(() => handleError?.call(query, error))
  return query
}

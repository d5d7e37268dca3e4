import { TenancyError } from '../../errors.ts'
import { type ConnectionStats, createConnections } from './connections.ts'
import { queueFull, queueTimedOut } from './errors.ts'
import { createFairQueue } from './fair-queue.ts'
import type { Lease } from './lease.ts'
import { type LeasePoolOptions, leasePoolSettings } from './options.ts'
import { createWaiter, type Waiter } from './waiter.ts'

/** The current number of connections in each state, and of waiting callers. */
export interface LeasePoolStats extends ConnectionStats {
  /** Acquirers in the queue. */
  readonly waiting: number
}

/** Connections of many keys to one server. */
export interface LeasePool<Connection, Target> {
  /**
   * Leases a connection of the key: an idle one, a new one, or one that takes the place of another key's least
   * recently used idle one; else waits in turn. A key stands for everything that distinguishes targets.
   *
   * @throws `pool_exhausted` after `queueTimeout`, or with `maxWaiting` callers of the key waiting already; `timeout` after
   * `openTimeout`; `tenant_not_ready` while the key is drained; `closed` after `close`; `provider_unavailable`
   * when the connection failed as it opened; what `open` threw; the signal's reason
   */
  acquire(
    key: string,
    target: Target,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<Lease<Connection>>
  /** Runs `work` with a connection and gives it back; ends it when `work` throws an error that `isSuspect` accepts. */
  use<Result>(
    key: string,
    target: Target,
    work: (connection: Connection) => Promise<Result>,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<Result>
  /**
   * Refuses new and waiting leases of the key and closes its idle connections. Leased connections end when released, or
   * after `deadline` milliseconds. Once the key has no connection left, runs `during` (drop the database there). Then
   * resolves, and the key can be acquired again.
   *
   * @throws the error of `during`
   */
  drain(key: string, options?: DrainOptions & { during?: (() => Promise<void>) | undefined }): Promise<void>
  /** Call it on each `error` event of a connection: an idle connection ends now, a leased one when released. */
  invalidate(connection: Connection, error?: unknown): void
  stats(): LeasePoolStats
  /** Drains every key for good; resolves when no connection is left. Safe to call twice. */
  close(options?: DrainOptions): Promise<void>
}

export interface DrainOptions {
  /**
   * Milliseconds that the pool waits for the leased connections.
   *
   * @default 10_000
   */
  readonly deadline?: number | undefined
}

/**
 * A pool of connections to one server for many keys (tenants, or logins), each connection one key's at a time.
 *
 * It keeps to `max` in all and `maxPerKey`; serves waiting keys in turns; reuses only clean connections;
 * closes each exactly once, and in use only past a deadline; and settles every promise.
 *
 * @throws `config_invalid` for an option out of range
 * @example
 * ```ts
 * const pool = createLeasePool<Client, ClientConfig>({
 *   async open(config) {
 *     const client = new Client(config)
 *     client.on('error', () => pool.invalidate(client))
 *     await client.connect()
 *     return client
 *   },
 *   close: (client) => client.end(),
 *   max: 20,
 * })
 * const rows = await pool.use('acme', config, (client) => client.query('select 1'))
 * ```
 */
export function createLeasePool<Connection extends object, Target>(
  options: LeasePoolOptions<Connection, Target>,
): LeasePool<Connection, Target> {
  const settings = leasePoolSettings(options)
  const { queueTimeout, maxWaiting, setTimer, now } = settings
  const queue = createFairQueue<Waiter<Target, Lease<Connection>>>(now)
  const connections = createConnections(settings, queue, findRefusal)
  /** The keys being drained, each with the number of concurrent drains. */
  const drains = new Map<string, number>()
  let closed = false

  function findRefusal(key: string): TenancyError | undefined {
    if (closed) return new TenancyError('closed', 'The connection pool was closed')
    if (!drains.has(key)) return undefined
    return new TenancyError('tenant_not_ready', "The tenant's connections are being closed", {
      retryAfter: 2,
    })
  }

  function createTimeoutError(key: string): TenancyError {
    const { leased } = connections.stats()
    const expectedWait = queue.expectedWait(key)
    return queueTimedOut({ queueTimeout, leased, others: queue.size(key) - 1, expectedWait })
  }

  function retire(key: string | undefined, deadline = 10_000): Promise<void> {
    for (const waiter of queue.clear(key)) waiter.reject(findRefusal(waiter.key))
    return connections.retire(key, deadline)
  }

  const pool: LeasePool<Connection, Target> = {
    acquire(key, target, { signal } = {}) {
      return new Promise((resolve, reject) => {
        const refusal = findRefusal(key)
        if (refusal !== undefined) return reject(refusal)
        if (signal?.aborted) return reject(signal.reason)
        const idle = queue.size(key) === 0 ? connections.leaseIdle(key, target) : undefined
        if (idle !== undefined) return resolve(idle)
        const waiter = createWaiter<Target, Lease<Connection>>(
          { key, target, signal },
          { resolve, reject },
          (settled) => queue.delete(key, settled),
        )
        queue.add(key, waiter)
        connections.serveWaiters()
        if (!queue.has(key, waiter)) return
        const others = queue.size(key) - 1
        if (others >= maxWaiting) {
          // The expected wait is that of the callers that stay in the queue.
          queue.delete(key, waiter)
          waiter.reject(queueFull(others, maxWaiting, queue.expectedWait(key)))
        } else waiter.startTimer(setTimer, queueTimeout, () => createTimeoutError(key))
      })
    },
    async use(key, target, work, options) {
      const lease = await pool.acquire(key, target, options)
      let isSuspect = true
      try {
        const result = await work(lease.connection)
        isSuspect = false
        return result
      } catch (error) {
        isSuspect = settings.isSuspect?.(error) ?? true
        throw error
      } finally {
        if (isSuspect) lease.destroy()
        else lease.release()
      }
    },
    async drain(key, { deadline, during } = {}) {
      drains.set(key, (drains.get(key) ?? 0) + 1)
      try {
        await retire(key, deadline)
        await during?.()
      } finally {
        const others = (drains.get(key) ?? 0) - 1
        if (others > 0) drains.set(key, others)
        else drains.delete(key)
      }
    },
    invalidate: connections.invalidate,
    stats: () => ({ ...connections.stats(), waiting: queue.size() }),
    close({ deadline } = {}) {
      closed = true
      return retire(undefined, deadline)
    },
  }
  return pool
}

import { type Lease, TenancyError } from '@tenantry/multi-tenancy/provider'
import { type ConnectionOptions, createPool, type PoolConnection } from 'mysql2'
import type { Pool } from 'mysql2/promise'
import type { Connection } from '../connections/connection.ts'
import type { Callback } from './command-tracker.ts'
import { createTenantConnection, type TenantConnectionOptions } from './tenant-connection.ts'

export interface TenantPoolOptions extends Omit<TenantConnectionOptions, 'onRelease'> {
  /** Leases a connection for the tenant, once it may be served. Throws the error for the user of the client. */
  readonly lease: () => Promise<Lease<Connection>>
  readonly format: ConnectionOptions
  /** Connections that one tenant may have. */
  readonly max: number
  /** Called when a handler ended the client, which is cached: the next request needs another one. */
  readonly onEnd: () => void
}

/**
 * Creates a `mysql2/promise` pool bound to one tenant. It holds no connection: each query leases one and gives it back,
 * and `getConnection` leases one until `release`. Ending it closes no connection.
 */
export function createTenantPool({
  lease,
  format,
  max,
  onEnd,
  ...connectionOptions
}: TenantPoolOptions): Pool {
  // A pool of the driver that never connects has every member that libraries expect.
  const pool = createPool({ ...format, connectionLimit: max, maxIdle: max })
  const queryWithoutCallback = pool.query.bind(pool)
  /** The physical connections for which this client has emitted `connection`. */
  const announced = new WeakSet<Connection>()
  let isEnded = false

  async function connect(): Promise<PoolConnection> {
    if (isEnded) throw new TenancyError('closed', 'The client was closed')
    const leased = await lease()
    const connection = createTenantConnection(leased, {
      ...connectionOptions,
      onRelease: (released) => pool.emit('release', released),
    })
    if (!announced.has(leased.connection)) {
      announced.add(leased.connection)
      pool.emit('connection', connection)
    }
    pool.emit('acquire', connection)
    return connection
  }

  function query(...args: unknown[]): unknown {
    const callback = args.find((arg): arg is Callback => typeof arg === 'function')
    // The driver returns an emitter for the rows, and sends the statement by our `getConnection`.
    if (callback === undefined) return queryWithoutCallback(...(args as [string]))
    connect().then((connection) => {
      const end = (): void => connection.release()
      try {
        connection.query(...(args as [string])).once('end', end)
      } catch (error) {
        end()
        callback(error)
      }
    }, callback)
    return undefined
  }

  function getConnection(callback: (error: unknown, connection?: PoolConnection) => void): void {
    connect().then((connection) => callback(null, connection), callback)
  }

  Object.assign(pool, {
    query,
    getConnection,
    releaseConnection: (connection: PoolConnection) => connection.release(),
    end(callback?: (error: unknown) => void) {
      if (!isEnded) {
        isEnded = true
        onEnd()
      }
      callback?.(null)
    },
  })
  return pool.promise()
}

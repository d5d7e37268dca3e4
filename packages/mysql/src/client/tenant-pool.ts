import { type Lease, TenancyError } from '@tenantry/multi-tenancy'
import { type Pool as CallbackPool, type ConnectionOptions, createPool, type PoolConnection } from 'mysql2'
import type { Pool } from 'mysql2/promise'
import type { Connection } from '../connections/connection.ts'
import { createLeasedConnection } from './tenant-connection.ts'

/** What the client of one tenant works with. */
export interface TenantPoolOptions {
  /** A connection for the tenant, once it may be served; it throws what the user of the client gets. */
  readonly lease: () => Promise<Lease<Connection>>
  /** What the user of the client gets for the error of a statement. */
  readonly tell: (error: unknown) => unknown
  readonly format: ConnectionOptions
  /** Connections one tenant may have. */
  readonly max: number
  /** Called once the client was ended by a handler: the next request needs another one. */
  readonly onEnd: () => void
}

const optionsOf = new WeakMap<Pool, TenantPoolOptions>()

/** What a client was made with; `undefined` for one that was not made here. */
export function tenantPoolOptions(client: Pool): TenantPoolOptions | undefined {
  return optionsOf.get(client)
}

/**
 * A `mysql2/promise` pool bound to one tenant, that holds no connection: each query leases one and gives it back, and
 * `getConnection` leases one until `release`. Ending it closes no connection.
 */
export function createTenantPool(options: TenantPoolOptions): Pool {
  const { lease, tell, format, max, onEnd } = options
  // A real one that never connects, so that whatever libraries expect of the driver's is there.
  const pool = createPool({ ...format, connectionLimit: max, maxIdle: max })
  let ended = false

  async function connect(): Promise<PoolConnection> {
    if (ended) throw new TenancyError('closed', 'The client was closed')
    return createLeasedConnection(await lease(), tell)
  }

  Object.assign(pool, {
    getConnection(callback: (error: unknown, connection?: PoolConnection) => void) {
      connect().then(
        (connection) => {
          pool.emit('acquire', connection)
          callback(null, connection)
        },
        (error: unknown) => callback(error),
      )
    },
    releaseConnection: (connection: PoolConnection) => connection.release(),
    end(callback?: (error: unknown) => void) {
      if (!ended) {
        ended = true
        onEnd()
      }
      callback?.(null)
    },
  } as unknown as Partial<CallbackPool>)
  const client = pool.promise()
  optionsOf.set(client, options)
  return client
}

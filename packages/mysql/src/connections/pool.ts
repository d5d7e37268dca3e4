import { createLeasePool, type LeasePool, TenancyError } from '@tenantry/multi-tenancy/provider'
import type { ConnectionOptions } from 'mysql2'
import type { Login } from '../driver-options.ts'
import type { DatabasePlace } from '../locator.ts'
import type { Settings } from '../options.ts'
import { ensureAccountConfirmed, readConfirmingAccount } from './account.ts'
import { type Connection, closeConnection, openConnection } from './connection.ts'
import { cancelOrAwaitReset, changeUser, resetSession, scheduleReset } from './reset.ts'
import { type Row, rejectOnAbort } from './run-statement.ts'

/** What a connection is opened for. */
export type Target = { readonly kind: 'admin' } | TenantTarget

/** One client of one tenant, which the object identifies. A client of the core has a `batch` target too. */
export interface TenantTarget {
  readonly kind: 'tenant' | 'batch'
  readonly place: DatabasePlace
  /** Checks over a new connection that the database is the tenant's, before any other statement. */
  readonly verify: (query: (sql: string, values?: readonly unknown[]) => Promise<Row[]>) => Promise<void>
}

export type ConnectionPool = LeasePool<Connection, Target>

/** Creates the pool of one server: its connections are opened for a target, turned to another, and reset after use. */
export function createConnectionPool(
  options: ConnectionOptions,
  findLogin: (target: Target) => Promise<Login>,
  settings: Settings & { readonly onConnectionError?: (error: unknown) => void },
): ConnectionPool {
  const pool: ConnectionPool = createLeasePool<Connection, Target>({
    async open(target, { signal }) {
      const login = await findLogin(target)
      const connection = await openConnection({
        kind: target.kind,
        options,
        login,
        signal,
        onEnd: (ended) => pool.invalidate(ended),
      })
      try {
        await rejectOnAbort(signal, verifyConnection(connection, target))
        return connection
      } catch (error) {
        connection.isAbandoned = true
        await closeConnection(connection)
        throw error
      }
    },
    async retarget(connection, target) {
      if (connection.kind === 'admin' || connection.kind !== target.kind)
        throw new TenancyError('internal', 'The connection is of another kind')
      await cancelOrAwaitReset(connection)
      await changeUser(connection, await findLogin(target))
      // A user of the tenant's own can log in to the tenant's database only, so the first check is enough.
      if (!connection.verifiedTargets.has(target)) await verifyConnection(connection, target)
    },
    clean(connection) {
      const { kind, taint } = connection
      if (kind === 'admin' || taint === 'none') return true
      if (taint !== 'plain') return resetSession(connection).then(() => true)
      // A plain statement can leave nothing that delays others, so its reset need not come first.
      if (settings.cleaning === 'always') scheduleReset(connection, () => pool.invalidate(connection))
      return true
    },
    close: closeConnection,
    max: settings.maxConnections,
    maxPerKey: Math.min(settings.maxConnections, settings.maxConnectionsPerTenant),
    maxWaiting: settings.maxWaiting,
    queueTimeout: settings.queueTimeout,
    openTimeout: settings.connectTimeout,
    idleTimeout: settings.idleTimeout,
    maxLifetime: settings.maxLifetime,
    ...(settings.onConnectionError && { onError: settings.onConnectionError }),
  })
  return pool
}

/** Checks over a connection that the database is the target's, and that the login has its own account. */
export async function verifyConnection(connection: Connection, target: Target): Promise<void> {
  if (target.kind !== 'admin') {
    await target.verify((sql, values) => readConfirmingAccount(connection, sql, values))
    await ensureAccountConfirmed(connection)
  }
  connection.verifiedTargets.add(target)
}

import type { CallOptions, Lease, Redactor } from '@tenantry/multi-tenancy/provider'
import { TenancyError } from '@tenantry/multi-tenancy/provider'
import type { ConnectionOptions } from 'mysql2'
import { adminLogin, driverOptions, formatOptions, passwordsIn } from '../driver-options.ts'
import { leavesNoDoubt } from '../errors.ts'
import type { DatabasePlace } from '../locator.ts'
import type { ServerOptions, Settings } from '../options.ts'
import type { Connection } from './connection.ts'
import { createLogins } from './logins.ts'
import { createConnectionPool, type TenantTarget, verifyConnection } from './pool.ts'
import { cancelOrAwaitReset, resetSession } from './reset.ts'
import { type Row, rejectOnAbort, runStatement } from './run-statement.ts'

/** Runs one statement on the administrator's connection. */
export type Run = (sql: string, values?: readonly unknown[]) => Promise<Row[]>

/** One server. */
export interface Server {
  readonly name: string
  /** The administrator's user name, for messages. */
  readonly admin: string
  /** How clients convert values and rows. */
  readonly format: ConnectionOptions
  /** Leases a connection for a tenant, verified for this very client, with a clean session. */
  lease(target: TenantTarget): Promise<Lease<Connection>>
  /** Runs statements as the administrator, all on one connection. */
  administer<Result>(call: CallOptions, work: (run: Run) => Promise<Result>): Promise<Result>
  /** Ends on the server a connection that was destroyed here, with the statement that it runs. */
  cancel(connection: Connection): Promise<void>
  /** Closes the connections of one database, and runs `during` before new ones may open. */
  drain(place: DatabasePlace, during: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** @param server the name and the options of the server */
export function createServer(
  { name, connection }: ServerOptions & { readonly name: string },
  settings: Settings & { readonly onConnectionError?: (error: unknown) => void },
  redactor: Redactor,
): Server {
  const { cleaning, connectTimeout, drainTimeout: deadline } = settings
  const options = driverOptions(connection)
  const admin = adminLogin(options)
  for (const password of passwordsIn(options)) redactor.keep(password)
  const pool = createConnectionPool(options, createLogins(admin, settings, redactor), settings)

  /** Finishes or runs the reset of the previous lease, and the check of a client that is new on this connection. */
  async function prepareLease(connection: Connection, target: TenantTarget): Promise<void> {
    await cancelOrAwaitReset(connection)
    if (connection.taint !== 'none' && cleaning === 'always') await resetSession(connection)
    // The client that verified the connection may have known an older state of the tenant.
    if (!connection.verifiedTargets.has(target)) await verifyConnection(connection, target)
  }

  async function administer<Result>(
    { signal }: CallOptions,
    work: (run: Run) => Promise<Result>,
  ): Promise<Result> {
    const lease = await pool.acquire('', { kind: 'admin' }, { signal })
    const { connection } = lease
    const stop = AbortSignal.any([signal, connection.ended.signal])
    try {
      const result = await work((sql, values) =>
        rejectOnAbort(stop, runStatement(connection.driver, sql, values)),
      )
      lease.release()
      return result
    } catch (error) {
      if (leavesNoDoubt(error)) lease.release()
      else {
        connection.isAbandoned = true
        lease.destroy()
      }
      throw error
    }
  }

  return {
    name,
    admin: admin.user,
    format: formatOptions(options),
    async lease(target) {
      const lease = await pool.acquire(poolKey(target.place, target.kind), target)
      const { connection } = lease
      const { pendingReset, taint, verifiedTargets } = connection
      if (pendingReset === undefined && taint === 'none' && verifiedTargets.has(target)) return lease
      const late = new AbortController()
      const timer = setTimeout(
        () =>
          late.abort(
            new TenancyError('timeout', `The server did not reset a session within ${connectTimeout} ms`),
          ),
        connectTimeout,
      )
      try {
        const signal = AbortSignal.any([connection.ended.signal, late.signal])
        await rejectOnAbort(signal, prepareLease(connection, target))
        return lease
      } catch (error) {
        connection.isAbandoned = true
        lease.destroy()
        throw error
      } finally {
        clearTimeout(timer)
      }
    },
    administer,
    async cancel({ driver }) {
      const signal = AbortSignal.timeout(settings.queueTimeout + connectTimeout)
      await administer({ signal }, (run) => run(`KILL CONNECTION ${Number(driver.threadId)}`))
    },
    drain: (place, during) =>
      pool.drain(poolKey(place, 'batch'), {
        deadline,
        during: () => pool.drain(poolKey(place, 'tenant'), { deadline, during }),
      }),
    close: () => pool.close({ deadline }),
  }
}

function poolKey({ database, id }: DatabasePlace, kind: TenantTarget['kind']): string {
  return `${database}/${id}/${kind}`
}

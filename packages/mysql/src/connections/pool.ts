import {
  type CallOptions,
  createLeasePool,
  type Lease,
  type LeasePool,
  type Redactor,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import type { ConnectionOptions } from 'mysql2'
import { adminLogin, driverOptions, formatOptions, type Login, passwordsIn } from '../driver-options.ts'
import { leavesNoDoubt } from '../errors.ts'
import { type DatabasePlace, userOf } from '../locator.ts'
import type { ServerOptions, Settings } from '../options.ts'
import { ensureAccountConfirmed, readConfirmingAccount } from './account.ts'
import { type Connection, closeConnection, openConnection } from './connection.ts'
import { passwordOf } from './credentials.ts'
import { cancelOrAwaitReset, changeUser, resetSession, scheduleReset } from './reset.ts'
import { type Row, rejectOnAbort, runStatement } from './run-statement.ts'

/** What a connection is opened for. */
export type Target = { readonly kind: 'admin' } | TenantTarget

/** One client of one tenant, which the object identifies. A client of the core has a `batch` target too. */
export interface TenantTarget {
  readonly kind: 'tenant' | 'batch'
  readonly place: DatabasePlace
  /** Checks over a new connection that the database is the tenant's, before any other statement. */
  readonly verify: (query: (sql: string, values?: readonly unknown[]) => Promise<Row[]>) => Promise<void>
}

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
  settings: Settings,
  redactor: Redactor,
): Server {
  const { cleaning, connectTimeout, drainTimeout: deadline } = settings
  const options = driverOptions(connection)
  const admin = adminLogin(options)
  for (const password of passwordsIn(options)) redactor.keep(password)
  const findLogin = createLogins(admin, settings, redactor)

  const pool: LeasePool<Connection, Target> = createLeasePool<Connection, Target>({
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
        await rejectOnAbort(signal, verify(connection, target))
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
      if (!connection.verifiedTargets.has(target)) await verify(connection, target)
    },
    clean(connection) {
      const { kind, taint } = connection
      if (kind === 'admin' || taint === 'none') return true
      if (taint !== 'plain') return resetSession(connection).then(() => true)
      // A plain statement can leave nothing that delays others, so its reset need not come first.
      if (cleaning === 'always') scheduleReset(connection, () => pool.invalidate(connection))
      return true
    },
    close: closeConnection,
    max: settings.maxConnections,
    maxPerKey: Math.min(settings.maxConnections, settings.maxConnectionsPerTenant),
    maxWaiting: settings.maxWaiting,
    queueTimeout: settings.queueTimeout,
    openTimeout: connectTimeout,
    idleTimeout: settings.idleTimeout,
    maxLifetime: settings.maxLifetime,
  })

  async function verify(connection: Connection, target: Target): Promise<void> {
    if (target.kind !== 'admin') {
      await target.verify((sql, values) => readConfirmingAccount(connection, sql, values))
      await ensureAccountConfirmed(connection)
    }
    connection.verifiedTargets.add(target)
  }

  /** Finishes or runs the reset of the previous lease, and the check of a client that is new on this connection. */
  async function prepareLease(connection: Connection, target: TenantTarget): Promise<void> {
    await cancelOrAwaitReset(connection)
    if (connection.taint !== 'none' && cleaning === 'always') await resetSession(connection)
    // The client that verified the connection may have known an older state of the tenant.
    if (!connection.verifiedTargets.has(target)) await verify(connection, target)
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

/** Finds the login of a target. Each is derived once, because that takes as long as a query. */
function createLogins(
  admin: Login,
  { isolation, secret }: Settings,
  redactor: Redactor,
): (target: Target) => Promise<Login> {
  const logins = new WeakMap<TenantTarget, Login>()

  async function deriveLogin({ database, id }: DatabasePlace): Promise<Login> {
    if (isolation === 'shared') return { ...admin, database, isShared: true }
    const user = userOf(id)
    return { user, password: await passwordOf(secret, user), database }
  }

  return async (target) => {
    if (target.kind === 'admin') return admin
    const login = logins.get(target) ?? (await deriveLogin(target.place))
    logins.set(target, login)
    if (isolation === 'user') redactor.add(login.password)
    return login
  }
}

function poolKey({ database, id }: DatabasePlace, kind: TenantTarget['kind']): string {
  return `${database}/${id}/${kind}`
}

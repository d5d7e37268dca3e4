import {
  type CallOptions,
  createLeasePool,
  type Lease,
  type LeasePool,
  type Redactor,
  TenancyError,
} from '@tenantry/multi-tenancy'
import type { ConnectionOptions } from 'mysql2'
import { adminLogin, driverOptions, formatOptions, type Login, passwordsIn } from '../driver-options.ts'
import { leavesNoDoubt } from '../errors.ts'
import { type DatabasePlace, userOf } from '../locator.ts'
import type { ServerOptions, Settings } from '../options.ts'
import {
  ask,
  askConfirmed,
  type Connection,
  changeUser,
  closeConnection,
  confirmLogin,
  openConnection,
  type Row,
  renew,
  renewSoon,
  renewWithNext,
  settleRenewal,
  untilAborted,
} from './connection.ts'
import { passwordOf } from './credentials.ts'

/** Whom a connection is for. */
export type Target = { readonly kind: 'admin' } | TenantTarget

/** One client of one tenant; the object is the client's identity. */
export interface TenantTarget {
  readonly kind: 'tenant'
  readonly place: DatabasePlace
  /** Looks whose database the connection has before anything else does. */
  readonly verify: (ask: (sql: string, values?: readonly unknown[]) => Promise<Row[]>) => Promise<void>
}

/** Runs one statement on the administrator's connection. */
export type Run = (sql: string, values?: readonly unknown[]) => Promise<Row[]>

/** One server. */
export interface Server {
  readonly name: string
  /** The administrator, for messages. */
  readonly admin: string
  /** How values become SQL and rows values, for clients. */
  readonly format: ConnectionOptions
  /** A connection for a tenant, verified by this very client, and like new. */
  lease(target: TenantTarget): Promise<Lease<Connection>>
  /** Runs statements as the administrator, all on one connection. */
  administer<Result>(call: CallOptions, work: (run: Run) => Promise<Result>): Promise<Result>
  drain(place: DatabasePlace, during: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

export function createServer(
  name: string,
  { connection }: ServerOptions,
  settings: Settings,
  redactor: Redactor,
): Server {
  const { isolation, secret, cleaning, drainTimeout: deadline } = settings
  const options = driverOptions(connection)
  const admin = adminLogin(options)
  for (const password of passwordsIn(options)) redactor.keep(password)

  /** Deriving a password takes as long as a query. */
  const logins = new WeakMap<TenantTarget, Login>()

  async function loginOf(target: Target): Promise<Login> {
    if (target.kind === 'admin') return admin
    const known = logins.get(target)
    const login = known ?? (await makeLogin(target.place))
    logins.set(target, login)
    if (isolation === 'user') redactor.add(login.password)
    return login
  }

  async function makeLogin({ database, id }: DatabasePlace): Promise<Login> {
    if (isolation === 'shared') return { ...admin, database, shared: true }
    const user = userOf(id)
    return { user, password: await passwordOf(secret, user), database }
  }

  const pool: LeasePool<Connection, Target> = createLeasePool<Connection, Target>({
    async open(target, { signal }) {
      const login = await loginOf(target)
      const made = await openConnection(target.kind, options, login, signal, (ended) =>
        pool.invalidate(ended),
      )
      try {
        await untilAborted(signal, verify(made, target))
        return made
      } catch (error) {
        await closeConnection(made)
        throw error
      }
    },
    async retarget(held, target) {
      if (held.kind !== 'tenant' || target.kind !== 'tenant')
        throw new TenancyError('internal', 'The connection is the administrator’s')
      await settleRenewal(held)
      await changeUser(held, await loginOf(target))
      // The server let this tenant's own user in to its own database.
      if (!held.verified.has(target)) await verify(held, target)
    },
    clean(held) {
      if (held.kind === 'admin' || held.trace === 'none') return true
      if (held.trace !== 'plain') return renew(held).then(() => true)
      // What a plain statement left holds nobody up.
      if (cleaning === 'always') renewSoon(held, () => pool.invalidate(held))
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
  })

  async function verify(held: Connection, target: Target): Promise<void> {
    if (target.kind === 'tenant') {
      await target.verify((sql, values) => askConfirmed(held, sql, values))
      await confirmLogin(held)
    }
    held.verified.add(target)
  }

  return {
    name,
    admin: admin.user,
    format: formatOptions(options),
    async lease(target) {
      const held = await pool.acquire(keyOf(target.place), target)
      const { connection } = held
      try {
        const { signal } = connection.ended
        const renewing = settleRenewal(connection)
        if (renewing !== undefined) await untilAborted(signal, renewing)
        if (connection.trace !== 'none' && cleaning === 'always' && !renewWithNext(connection))
          await untilAborted(signal, renew(connection))
        // Another client of this tenant verified it; what that one knew of the tenant may be out of date.
        if (!connection.verified.has(target)) await untilAborted(signal, verify(connection, target))
        return held
      } catch (error) {
        held.destroy()
        throw error
      }
    },
    async administer({ signal }, work) {
      const held = await pool.acquire('', { kind: 'admin' }, { signal })
      const { client, ended } = held.connection
      const stop = AbortSignal.any([signal, ended.signal])
      try {
        const result = await work((sql, values) => untilAborted(stop, ask(client, sql, values)))
        held.release()
        return result
      } catch (error) {
        if (leavesNoDoubt(error)) held.release()
        else held.destroy()
        throw error
      }
    },
    drain: (place, during) => pool.drain(keyOf(place), { deadline, during }),
    close: () => pool.close({ deadline }),
  }
}

function keyOf({ database, id }: DatabasePlace): string {
  return `${database}/${id}`
}

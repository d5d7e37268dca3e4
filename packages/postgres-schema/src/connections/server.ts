import {
  type CallOptions,
  createLeasePool,
  derivePassword,
  type Lease,
  type LeasePool,
  type Redactor,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import type { Client, ClientConfig, QueryResult } from 'pg'
import { collectPasswords, toClientConfig } from '../connection-options.ts'
import { isState, leavesNoDoubt } from '../errors.ts'
import { type Purpose, roleOf, type SchemaPlace } from '../locator.ts'
import type { ServerSettings, Settings } from '../options.ts'
import {
  type Connection,
  closeConnection,
  destroy,
  discardAll,
  openClient,
  sessionState,
  statusOf,
  undoPooled,
} from './connection.ts'
import { refuseSharing } from './detect-pooler.ts'
import { assertLogin } from './login.ts'
import { RESET_POOLED, RESET_SESSION } from './reset.ts'
import { createFacts, type Facts } from './server-info.ts'

/** Whom a connection is for. */
export interface Target {
  readonly kind: 'admin' | 'tenant'
  /** Stands for everything that tells targets apart. */
  readonly key: string
  readonly place?: SchemaPlace
  readonly purpose?: Purpose
  /** Run on each new connection that is one tenant's own. */
  readonly verify?: (connection: Connection) => Promise<void>
}

export type ConnectionPool = LeasePool<Connection, Target>

/** One database that holds schemas. */
export interface Server {
  readonly name: string
  readonly facts: Facts
  /** Where leases come from: shared on Node, one for each client on Workers, where no I/O outlives a request. */
  pool(): ConnectionPool
  /** A lease of the pool for a tenant, within the tenant's limit. */
  lease(pool: ConnectionPool, target: Target & { readonly place: SchemaPlace }): Promise<Lease<Connection>>
  /** Refuses a tenant's leases, ends those there are after `drainTimeout`, and keeps refusing `during` the rest. */
  drain(place: SchemaPlace, during: () => Promise<void>): Promise<void>
  /** Runs SQL as the administrator, in one message and so in one transaction; again when another was in its way. */
  admin(text: string, options: CallOptions): Promise<QueryResult[]>
  /** Cancels what a server process of the tenant's login runs, or ends the process. */
  cancel(target: Target, action: 'cancel' | 'terminate', processID: number): Promise<boolean>
  /** The login of tenants where they share connections. */
  login(options: CallOptions): Promise<string>
  /** The login of one tenant's connections. */
  tenantLogin(target: Pick<Target, 'place' | 'purpose'>, options: CallOptions): Promise<string>
  close(): Promise<void>
}

/** What another administrator at the same time causes, and trying again cures. */
const IN_THE_WAY = ['XX000', '40001', '40P01', '23505', '55006']

const ADMIN: Target = { kind: 'admin', key: '' }

export function createServer(
  name: string,
  options: ServerSettings,
  settings: Settings & { readonly onConnectionError?: (error: unknown) => void },
  redactor: Redactor,
): Server {
  const { isolation, pooler, environment } = settings
  const { parsed, serve } = options
  for (const password of collectPasswords(options.connection, parsed, serve)) redactor.keep(password)
  const facts = createFacts((text, call) => admin(text, call), settings)
  let shared: ConnectionPool | undefined
  let sharing: Promise<void> | undefined
  /** A unit of work found what it calls. */
  let ready = false

  async function tenantConfig(target: Target, call: CallOptions): Promise<ClientConfig> {
    if (isolation === 'role') {
      const role = await server.tenantLogin(target, call)
      const password = await derivePassword(settings.secret, role)
      redactor.add(password)
      return toClientConfig(parsed, { ...serve, user: role, password })
    }
    // Whatever came to run outside a unit of work would find no schema at all. A pooler takes no such parameter.
    const baseline = pooler === 'session' ? { options: '-c search_path=' } : {}
    if (isolation === 'search_path') return toClientConfig(parsed, { ...serve, ...baseline })
    const login = await server.login(call)
    const password = serve?.user === undefined ? await derivePassword(settings.secret, login) : serve.password
    if (password !== undefined) redactor.keep(password)
    const credentials = { user: login, ...(password === undefined ? {} : { password }) }
    return toClientConfig(parsed, { ...serve, ...baseline, ...credentials })
  }

  async function open(pool: () => ConnectionPool, target: Target, call: CallOptions): Promise<Connection> {
    let opened: Connection | undefined
    const onError = (_: unknown, error: unknown): void => void (opened && pool().invalidate(opened, error))
    if (target.kind === 'admin') {
      const client = await openClient(toClientConfig(parsed), call.signal, onError)
      opened = { client, kind: 'admin', dirty: false, pending: 0 }
      return opened
    }
    const config = await tenantConfig(target, call)
    const client = await openClient({ ...config, pipeline: true }, call.signal, onError)
    try {
      const processID = await checkSession(client, config, target, call)
      const connection: Connection = { client, kind: 'tenant', dirty: false, pending: 0, ...processID }
      opened = connection
      await target.verify?.(connection)
      if (pooler === 'session' && sessionState(connection) === 'dirty') await discardAll(connection)
      return connection
    } catch (error) {
      destroy(client)
      throw error
    }
  }

  /**
   * Checks that a session has the tenant's login and is this client's alone, and makes sure that the routine which
   * resets sessions behind a pooler exists.
   */
  async function checkSession(
    client: Client,
    config: ClientConfig,
    target: Target,
    call: CallOptions,
  ): Promise<{ processID?: number }> {
    if (pooler === 'transaction') {
      if (!ready) await withRoutine(call, () => client.query(RESET_POOLED))
      ready = true
      return {}
    }
    const { rows } = await client.query(
      'SELECT pg_catalog.pg_backend_pid() AS pid, session_user AS login, current_user AS role',
    )
    assertLogin(rows[0], await server.tenantLogin(target, call))
    const processID = Number(rows[0].pid)
    // A server says at the start which process serves; a pooler makes a number up.
    const direct = processID === (client as unknown as { processID: number }).processID
    if (direct) return { processID }
    await probe(client, config, call)
    // It was another client's, and not every pooler resets it.
    await client.query(RESET_SESSION)
    return { processID }
  }

  /** A database whose tenants another version made, or a restored one, may lack what a unit of work calls. */
  async function withRoutine<Value>(call: CallOptions, work: () => Promise<Value>): Promise<Value> {
    try {
      return await work()
    } catch (error) {
      if (!isState(error, '3F000', '42883')) throw error
      facts.doubt()
      await facts.prepare(call)
      return work()
    }
  }

  async function probe(client: Client, config: ClientConfig, call: CallOptions): Promise<void> {
    // One asks for all who open a connection now; on Workers another request's promise may never settle.
    if (environment.runtime === 'workers') return refuseSharing(client, config, call.signal)
    sharing ??= refuseSharing(client, config, call.signal)
    const asked = sharing
    await asked.catch((error: unknown) => {
      if (!(error instanceof TenancyError) && sharing === asked) sharing = undefined
      throw error
    })
  }

  function createPool(): ConnectionPool {
    const { maxConnections: max, maxWaiting, queueTimeout, idleTimeout, maxLifetime } = settings
    const pool: ConnectionPool = createLeasePool<Connection, Target>({
      open: (target, call) => open(() => pool, target, call),
      clean(connection) {
        const state = sessionState(connection)
        if (pooler === 'transaction') {
          return statusOf(connection.client) === 'E' ? undoPooled(connection) : state !== 'lost'
        }
        return state === 'dirty' ? discardAll(connection) : state !== 'lost'
      },
      close: closeConnection,
      // With a role of its own a tenant has connections of its own.
      ...(isolation === 'role' ? {} : { shareKey: ({ kind }) => kind }),
      maxPerKey: Math.min(max, settings.maxConnectionsPerTenant),
      max, maxWaiting, queueTimeout, idleTimeout, maxLifetime,
      openTimeout: settings.connectTimeout,
      ...(settings.onConnectionError && { onError: settings.onConnectionError }),
    }) // biome-ignore format: what it does, then its limits
    return pool
  }

  async function admin(text: string, call: CallOptions): Promise<QueryResult[]> {
    for (let tries = 20; ; tries--) {
      try {
        return await adminOnce(text, call)
      } catch (error) {
        if (tries === 0 || !isInTheWay(error)) throw error
        await environment.sleep(5 + Math.random() * 45)
        call.signal.throwIfAborted()
      }
    }
  }

  async function adminOnce(text: string, { signal }: CallOptions): Promise<QueryResult[]> {
    const pool = server.pool()
    const lease: Lease<Connection> = await pool.acquire(ADMIN.key, ADMIN, { signal })
    const abort = (): void => lease.destroy()
    signal.addEventListener('abort', abort)
    try {
      const results: unknown = await lease.connection.client.query(text)
      lease.release()
      return (Array.isArray(results) ? results : [results]) as QueryResult[]
    } catch (error) {
      if (leavesNoDoubt(error)) lease.release()
      else lease.destroy()
      throw signal.aborted ? signal.reason : error
    } finally {
      signal.removeEventListener('abort', abort)
      if (pool !== shared) await pool.close()
    }
  }

  const server: Server = {
    name,
    facts,
    pool() {
      if (environment.runtime === 'workers') return createPool()
      shared ??= createPool()
      return shared
    },
    lease: (pool, target) => pool.acquire(target.key, target),
    async drain(place, during) {
      const { drainTimeout: deadline } = settings
      if (environment.runtime === 'workers') return during()
      const pool = server.pool()
      await pool.drain(keyOf(place, 'serve'), {
        deadline,
        during: () => pool.drain(keyOf(place, 'manage'), { deadline, during }),
      })
    },
    admin,
    async cancel(target, action, processID) {
      const signal = AbortSignal.timeout(settings.connectTimeout)
      if (pooler === 'transaction') {
        const message = "The query was not cancelled: pooler: 'transaction' hides the server's process"
        throw new TenancyError('not_supported', message)
      }
      const client = await openClient(await tenantConfig(target, { signal }), signal)
      try {
        const { rows } = await client.query(`SELECT pg_catalog.pg_${action}_backend(${processID}) AS done`)
        return rows[0].done === true
      } finally {
        await client.end()
      }
    },
    async login(call) {
      const given = serve?.user ?? (isolation === 'search_path' ? parsed.fields.user : undefined)
      if (given !== undefined) return given
      const { databaseOid, user } = await facts.read(call)
      return isolation === 'search_path' ? user : `tenantry_${databaseOid}`
    },
    async tenantLogin({ place, purpose }, call) {
      return isolation === 'role' ? roleOf(place?.id ?? '', purpose) : server.login(call)
    },
    async close() {
      // Also one that nobody has used yet must refuse from now on.
      shared ??= createPool()
      await shared.close({ deadline: settings.drainTimeout })
    },
  }
  return server
}

/** Of a tenant's connections. */
export function keyOf({ schema, id }: SchemaPlace, purpose: Purpose = 'serve'): string {
  return `${schema}/${id}/${purpose}`
}

function isInTheWay(error: unknown): boolean {
  if (isState(error, 'XX000')) return /tuple concurrently/.test((error as Error).message)
  return isState(error, ...IN_THE_WAY)
}

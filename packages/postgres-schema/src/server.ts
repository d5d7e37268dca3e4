import {
  type CallOptions,
  createLeasePool,
  type Lease,
  type LeasePool,
  type Redactor,
  TenancyError,
} from '@tenantry/multi-tenancy'
import type { Client, ClientConfig, QueryResult } from 'pg'
import { configOf, passwordsIn, userIn } from './config.ts'
import { type Connection, cleanLate, closeClient, openClient, refresh, verdictOf } from './connection.ts'
import { passwordOf } from './credentials.ts'
import { isState, leavesNoDoubt } from './errors.ts'
import { createFacts, type Facts } from './facts.ts'
import { createGate } from './gate.ts'
import { roleOf, type SchemaPlace } from './locator.ts'
import type { ServerOptions, Settings } from './options.ts'
import { refuseSharing } from './probe.ts'
import { preparations } from './scope.ts'
import { runUnit } from './unit.ts'
import { NO_STEPS } from './wire.ts'

/** Whom a connection is for. */
export interface Target {
  readonly kind: 'admin' | 'tenant'
  readonly place?: SchemaPlace
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
  /** Who logs in for tenants where they share connections. */
  login(facts: Awaited<ReturnType<Facts['read']>>): string
  close(): Promise<void>
}

/** What another administrator at the same time causes, and trying again cures. */
const IN_THE_WAY = ['XX000', '40001', '40P01', '23505', '55006']

export function createServer(
  name: string,
  options: ServerOptions,
  settings: Settings,
  redactor: Redactor,
): Server {
  const { isolation, pooler, environment } = settings
  const { connection: adminConnection, serve } = options
  for (const password of passwordsIn(adminConnection, serve)) redactor.keep(password)
  const facts = createFacts((text, call) => admin(text, call), settings)
  const gate = createGate<Connection>(settings.maxConnectionsPerTenant, settings.queueTimeout)
  let shared: ConnectionPool | undefined
  let sharing: Promise<void> | undefined
  /** The last connection went to the server itself. */
  let direct = false

  async function tenantConfig(
    target: Target,
    call: CallOptions,
  ): Promise<{ config: ClientConfig; login: string }> {
    if (isolation === 'role') {
      const role = roleOf(target.place?.id ?? '')
      const password = await passwordOf(settings.secret, role)
      redactor.add(password)
      return { login: role, config: configOf(adminConnection, { ...serve, user: role, password }) }
    }
    const login = server.login(await facts.read(call))
    // Whatever came to run outside a unit of work would find no schema at all. A pooler takes no such parameter.
    const baseline = pooler === 'session' ? { options: '-c search_path=' } : {}
    if (isolation === 'search_path')
      return { login, config: configOf(adminConnection, { ...serve, ...baseline }) }
    const password = serve?.user === undefined ? await passwordOf(settings.secret, login) : serve.password
    if (password !== undefined) redactor.keep(password)
    const credentials = { user: login, ...(password === undefined ? {} : { password }) }
    return { login, config: configOf(adminConnection, { ...serve, ...baseline, ...credentials }) }
  }

  async function open(pool: () => ConnectionPool, target: Target, call: CallOptions): Promise<Connection> {
    let connection: Connection | undefined
    const onError = (): void => void (connection && pool().invalidate(connection))
    if (target.kind === 'admin') {
      const client = await openClient(configOf(adminConnection), call.signal, onError)
      connection = { client, kind: 'admin', login: '', dirty: false, spoilt: false }
      return connection
    }
    const { config, login } = await tenantConfig(target, call)
    const client = await openClient(config, call.signal, onError)
    connection = { client, kind: 'tenant', login, dirty: false, spoilt: false }
    try {
      if (pooler === 'session') await makeReady(client, login, config, call)
      await target.verify?.(connection)
      if (connection.dirty) await refresh(connection)
      return connection
    } catch (error) {
      await closeClient(client)
      throw error
    }
  }

  /** Prepares what each unit of work needs, and makes sure that the session is this client's alone. */
  async function makeReady(
    client: Client,
    login: string,
    config: ClientConfig,
    call: CallOptions,
  ): Promise<void> {
    // A server says at the start which process serves; a pooler makes a number up. Where it may be a pooler's,
    // nothing is prepared before that is known: others would meet it.
    const prepared = direct
    const { result } = await runUnit(client, 'SELECT pg_catalog.pg_backend_pid() AS pid', () => ({
      before: NO_STEPS,
      after: prepared ? preparations(login) : NO_STEPS,
    }))
    direct = Number(result.rows[0].pid) === (client as unknown as { processID: number }).processID
    if (!direct) await probe(client, config, call)
    if (!prepared) await runUnit(client, '', () => ({ before: NO_STEPS, after: preparations(login) }))
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
    const { maxConnections: max, queueTimeout, idleTimeout, maxLifetime } = settings
    // Shared connections have one key, and the gate keeps each tenant to its limit.
    const limits =
      isolation === 'role'
        ? { maxPerKey: Math.min(max, settings.maxConnectionsPerTenant) }
        : { maxPerKey: max, maxQueuePerKey: Number.POSITIVE_INFINITY }
    const pool: ConnectionPool = createLeasePool<Connection, Target>({
      open: (target, call) => open(() => pool, target, call),
      clean(connection) {
        const verdict = verdictOf(connection)
        if (verdict !== 'dirty' || pooler === 'transaction') return verdict !== 'lost'
        return cleanLate(connection)
      },
      close: ({ client }) => closeClient(client),
      max, ...limits, queueTimeout, idleTimeout, maxLifetime,
      openTimeout: settings.connectTimeout,
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
    const lease: Lease<Connection> = await pool.acquire('', { kind: 'admin' }, { signal })
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
    lease(pool, target) {
      const key = keyOf(target.place)
      if (isolation === 'role') return pool.acquire(key, target)
      return gate.acquire(key, () => pool.acquire('shared', target))
    },
    async drain(place, during) {
      const { drainTimeout: deadline } = settings
      if (environment.runtime === 'workers') return during()
      if (isolation !== 'role') return gate.drain(keyOf(place), deadline, during)
      await server.pool().drain(keyOf(place), { deadline, during })
    },
    admin,
    login: ({ databaseOid, user }) => {
      if (serve?.user !== undefined) return serve.user
      return isolation === 'set_role' ? `tenantry_${databaseOid}` : (userIn(adminConnection) ?? user)
    },
    async close() {
      // Also one that nobody has used yet must refuse from now on.
      shared ??= createPool()
      await shared.close({ deadline: settings.drainTimeout })
    },
  }
  return server
}

function keyOf({ schema, id }: SchemaPlace): string {
  return `${schema}/${id}`
}

function isInTheWay(error: unknown): boolean {
  if (isState(error, 'XX000')) return /tuple concurrently/.test((error as Error).message)
  return isState(error, ...IN_THE_WAY)
}

import {
  type CallOptions,
  createLeasePool,
  type Lease,
  type Redactor,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import type { QueryResult } from 'pg'
import { collectPasswords } from '../connection-options.ts'
import { type Purpose, roleName, type SchemaPlace } from '../locator.ts'
import type { ServerSettings, Settings } from '../options.ts'
import { createAdmin } from './admin.ts'
import {
  type Connection,
  closeConnection,
  discardAll,
  openClient,
  readStatus,
  sessionState,
  undoPooled,
} from './connection.ts'
import { createOpener } from './opener.ts'
import { createFacts, type Facts } from './server-info.ts'
import type { ConnectionPool, Target } from './target.ts'

const ADMIN: Target = { kind: 'admin', key: '' }

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

export function createServer(
  name: string,
  options: ServerSettings,
  settings: Settings & { readonly onConnectionError?: (error: unknown) => void },
  redactor: Redactor,
): Server {
  const { isolation, pooler, environment } = settings
  const { parsed, serve } = options
  for (const password of collectPasswords(options.connection, parsed, serve)) redactor.keep(password)
  const facts = createFacts((text, call) => server.admin(text, call), settings)
  let shared: ConnectionPool | undefined

  function createPool(): ConnectionPool {
    const { maxConnections: max, maxWaiting, queueTimeout, idleTimeout, maxLifetime } = settings
    const pool: ConnectionPool = createLeasePool<Connection, Target>({
      open: (target, call) => opener.open(() => pool, target, call),
      clean(connection) {
        const state = sessionState(connection)
        if (pooler === 'transaction') {
          return readStatus(connection.client) === 'E' ? undoPooled(connection) : state !== 'lost'
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
      await pool.drain(toPoolKey(place, 'serve'), {
        deadline,
        during: () => pool.drain(toPoolKey(place, 'manage'), { deadline, during }),
      })
    },
    admin: createAdmin({
      environment,
      async acquire({ signal }) {
        const pool = server.pool()
        const lease = await pool.acquire(ADMIN.key, ADMIN, { signal })
        const close = async (): Promise<void> => (pool === shared ? undefined : pool.close())
        return { lease, close }
      },
    }),
    async cancel(target, action, processID) {
      const signal = AbortSignal.timeout(settings.connectTimeout)
      if (pooler === 'transaction') {
        const message = "The query was not cancelled: pooler: 'transaction' hides the server's process"
        throw new TenancyError('not_supported', message)
      }
      const client = await openClient(await opener.createConfig(target, { signal }), signal)
      try {
        const { rows } = await client.query(`SELECT pg_catalog.pg_${action}_backend(${processID}) AS done`)
        return rows[0].done === true
      } finally {
        await client.end()
      }
    },
    async login(call) {
      const configured = serve?.user ?? (isolation === 'search_path' ? parsed.fields.user : undefined)
      if (configured !== undefined) return configured
      const { databaseOid, user } = await facts.read(call)
      return isolation === 'search_path' ? user : `tenantry_${databaseOid}`
    },
    async tenantLogin({ place, purpose }, call) {
      return isolation === 'role' ? roleName(place?.id ?? '', purpose) : server.login(call)
    },
    async close() {
      // A pool that no tenant has used yet must refuse from now on, too.
      shared ??= createPool()
      await shared.close({ deadline: settings.drainTimeout })
    },
  }
  const opener = createOpener(options, settings, redactor, { server, facts })
  return server
}

/** Of a tenant's connections. */
export function toPoolKey({ schema, id }: SchemaPlace, purpose: Purpose = 'serve'): string {
  return `${schema}/${id}/${purpose}`
}

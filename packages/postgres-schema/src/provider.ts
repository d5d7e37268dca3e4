import {
  type CallOptions,
  type ConnectTarget,
  createRedactor,
  getServer,
  type Lease,
  type ProviderHost,
  postgresMigrationSql,
  type Redactor,
  type Row,
  type ServerControlPlane,
  type Statement,
  spreadOverServers,
  TenancyError,
  type TenantProvider,
} from '@tenantry/multi-tenancy/provider'
import { Kysely } from 'kysely'
import { escapeIdentifier, type Pool } from 'pg'
import { createStatements, type Statements } from './client/statements.ts'
import { createTenantPool } from './client/tenant-pool.ts'
import type { Connection } from './connections/connection.ts'
import type { QueryInput } from './connections/pipeline.ts'
import { runLeased } from './connections/run-leased.ts'
import { type Scope, searchPath } from './connections/scope.ts'
import { createServer, type Server, toPoolKey } from './connections/server.ts'
import type { Target } from './connections/target.ts'
import { createSchemas, type Schemas } from './control-plane/schemas.ts'
import { diagnose } from './diagnose.ts'
import { postgresErrors } from './errors.ts'
import { createExplainer } from './explain.ts'
import { postgresKysely } from './kysely.ts'
import { parseLocator, roleName, type SchemaPlace, toLocator } from './locator.ts'
import { type PostgresSchemaProviderOptions, parseOptions, type Settings } from './options.ts'

interface Site {
  readonly server: Server
  readonly schemas: Schemas
}

/**
 * A schema per tenant in one or several PostgreSQL databases (14 or later). The client is a `pg.Pool` bound to the
 * tenant.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const provider = createPostgresSchemaProvider({ connection: process.env.DATABASE_URL, secret: process.env.ROLE_SECRET })
 */
export function createPostgresSchemaProvider(
  options: PostgresSchemaProviderOptions,
  host?: ProviderHost,
): TenantProvider<Pool> {
  const onConnectionError = (cause: unknown): void =>
    host?.reportError(mapError(cause), { operation: 'connection' })
  const settings = { ...parseOptions(options), onConnectionError }
  const { isolation, pooler, extensionsSchema } = settings
  const redactor = createRedactor()
  redactor.keep(settings.secret)
  const { mapError, toClientError } = postgresErrors(redactor)
  const sites = createSites(settings, redactor)
  /** How each client runs several statements in one batch, which the driver's client shape does not offer. */
  const batches = new WeakMap<Pool, (inputs: readonly QueryInput[]) => Promise<void>>()

  const spread = createControlPlane(sites, settings.placement)
  const getSite = (name: string): Site => getServer(sites, name)

  const explain = createExplainer({
    getSite,
    toClientError,
    redactor,
    connectTimeout: settings.connectTimeout,
  })

  function throwClientError(error: unknown): never {
    throw toClientError(error)
  }

  async function connect(
    { locator, purpose, verify, beforeUse, onDatabaseGone = () => {} }: ConnectTarget,
    call: CallOptions,
  ): Promise<Pool> {
    const place = parseLocator(locator)
    const { server } = getSite(place.server)
    const path = searchPath(place.schema, extensionsSchema)
    const ownConnections = isolation === 'role'
    const login = pooler === 'transaction' ? await server.tenantLogin({ place, purpose }, call) : undefined
    // A session that logs in as the tenant needs no scope.
    const scope =
      ownConnections && pooler === 'session' ? undefined : buildScope({ place, path, isolation, login })
    const statements = createStatements(scope, pooler)
    const target: Target & { readonly place: SchemaPlace } = {
      kind: 'tenant',
      key: toPoolKey(place, purpose),
      place,
      purpose,
      ...(ownConnections && { verify: (connection) => verify(createReader(statements, connection)) }),
    }
    const pool = server.pool()
    async function lease(): Promise<Lease<Connection>> {
      // Waiting for nothing would cost each query a turn.
      const check = beforeUse?.()
      if (check !== undefined) await check
      return server.lease(pool, target)
    }
    const fail = (error: unknown): Promise<never> => explain(place, error, onDatabaseGone)
    const client = createTenantPool({
      lease,
      statements,
      max: settings.maxConnectionsPerTenant,
      onEnd: onDatabaseGone,
      fail,
      throwClientError,
      cancel: (action, processID) => server.cancel(target, action, processID),
    })
    const role = ownConnections && purpose === 'manage' ? roleName(place.id) : undefined
    batches.set(client, (inputs) => {
      const all =
        role === undefined ? inputs : inputs.flatMap((input) => [input, ...guardBookkeeping(input, role)])
      return runBatch(lease, statements, all).catch(fail)
    })
    return client
  }

  return {
    name: 'postgres-schema',
    capabilities: { dialect: 'postgres', transactions: true, transactionalDdl: true },
    migrationSql: postgresMigrationSql,
    naming: { maxLength: 63, separator: '_' },

    ...spread,
    connect,
    async query(client, { sql, params = [] }) {
      const { rows } = await client.query(sql, [...params])
      return rows as Row[]
    },
    async batch(client, statements) {
      if (statements.length === 0) return
      const batch = batches.get(client)
      if (batch === undefined) throw new TenancyError('internal', 'The client is not of this provider')
      await batch(statements.map(({ sql, params = [] }) => ({ text: sql, values: [...params] })))
    },
    kysely: (client) => new Kysely<any>({ dialect: postgresKysely(client) }),
    mapError,
    diagnose: ({ tenants }, call) => diagnose([...sites.values()], settings, tenants, call),
  }
}

interface ScopeOptions extends Pick<Scope, 'place' | 'path'> {
  readonly isolation: ReturnType<typeof parseOptions>['isolation']
  readonly login: string | undefined
}

function buildScope({ place, path, isolation, login }: ScopeOptions): Scope {
  return {
    place,
    path,
    ...(isolation === 'set_role' && { role: roleName(place.id) }),
    ...(login !== undefined && { login }),
  }
}

function createSites(
  settings: Parameters<typeof createServer>[2],
  redactor: Redactor,
): ReadonlyMap<string, Site> {
  const sites = new Map<string, Site>()
  for (const [name, options] of settings.servers) {
    const server = createServer(name, options, settings, redactor)
    sites.set(name, { server, schemas: createSchemas(server, settings) })
  }
  return sites
}

/** The control plane of all servers. */
function createControlPlane(sites: ReadonlyMap<string, Site>, placement: Settings['placement']) {
  const servers = [...sites].map(([name, { server, schemas }]) => {
    const controlPlane: ServerControlPlane<SchemaPlace> = {
      ...schemas,
      drop: (place, call) => server.drain(place, () => schemas.drop(place, call)),
      close: server.close,
    }
    return [name, controlPlane] as const
  })
  return spreadOverServers(new Map(servers), { placement, toLocator: toLocator, parseLocator: parseLocator })
}

/** Reads rows on one connection of the tenant. */
function createReader(statements: Statements, connection: Connection) {
  return async ({ sql, params = [] }: Statement): Promise<Row[]> => {
    const { rows } = await statements.single(connection, { text: sql, values: [...params] })
    return rows as Row[]
  }
}

/** The core's own tables are there for tenants to read: the stamp, with each new connection. */
function guardBookkeeping(input: QueryInput, role: string): string[] {
  const text = typeof input === 'string' ? input : (input.text ?? '')
  const [, table] = /^CREATE TABLE IF NOT EXISTS (tenantry_[a-z]+) /.exec(text) ?? []
  if (table === undefined) return []
  const quoted = escapeIdentifier(role)
  return [`REVOKE ALL ON ${table} FROM ${quoted}`, `GRANT SELECT ON ${table} TO ${quoted}`]
}

async function runBatch(
  lease: () => Promise<Lease<Connection>>,
  statements: Statements,
  inputs: readonly QueryInput[],
): Promise<void> {
  await runLeased(await lease(), (connection) => statements.batch(connection, inputs))
}

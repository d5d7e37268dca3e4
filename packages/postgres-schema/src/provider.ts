import {
  type CallOptions,
  type ConnectTarget,
  classifyConnectionError,
  createRedactor,
  getServer,
  type Lease,
  type ProviderHost,
  postgresMigrationSql,
  type Row,
  type ServerControlPlane,
  spreadOverServers,
  TenancyError,
  type TenantProvider,
} from '@tenantry/multi-tenancy/provider'
import { Kysely } from 'kysely'
import { escapeIdentifier, type Pool } from 'pg'
import { createStatements, type Statements } from './client/statements.ts'
import { createTenantPool } from './client/tenant-pool.ts'
import type { Connection } from './connections/connection.ts'
import { failedLoginCheck } from './connections/login.ts'
import { type QueryInput, ScopeRejectedError } from './connections/pipeline.ts'
import { type Scope, searchPath } from './connections/scope.ts'
import { createServer, keyOf, type Server, type Target } from './connections/server.ts'
import { createSchemas, type Schemas } from './control-plane/schemas.ts'
import { diagnose } from './diagnose.ts'
import { isLoginRefused, isState, leavesNoDoubt, postgresErrors } from './errors.ts'
import { postgresKysely } from './kysely.ts'
import { locatorOf, placeOf, roleOf, type SchemaPlace } from './locator.ts'
import { type PostgresSchemaProviderOptions, parseOptions } from './options.ts'

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
  const { mapError, toClientError: tell } = postgresErrors(redactor)
  const sites = new Map<string, Site>()
  /** How a client of ours runs several statements at once; the driver's shape has no word for it. */
  const batches = new WeakMap<Pool, (inputs: readonly QueryInput[]) => Promise<void>>()
  for (const [name, each] of settings.servers) {
    const server = createServer(name, each, settings, redactor)
    sites.set(name, { server, schemas: createSchemas(server, settings) })
  }

  const spread = spreadOverServers(
    new Map(
      [...sites].map(([name, { server, schemas }]) => [
        name,
        {
          ...schemas,
          drop: (place, call) => server.drain(place, () => schemas.drop(place, call)),
          close: server.close,
        } satisfies ServerControlPlane<SchemaPlace>,
      ]),
    ),
    { placement: settings.placement, toLocator: locatorOf, parseLocator: placeOf },
  )
  const siteOf = (name: string): Site => getServer(sites, name)

  /** Says why a client in use met something missing, or was refused: its tenant is gone, made anew, or shut. */
  async function explain(place: SchemaPlace, error: unknown, onDatabaseGone: () => void): Promise<never> {
    const refused = error instanceof ScopeRejectedError
    if (refused && isState(error.cause, '22P02')) throw failedLoginCheck(error.message)
    if (!refused && !isState(error, '28000', '28P01', '3F000', '42P01', '57P01')) throw tell(error)
    const signal = AbortSignal.timeout(settings.connectTimeout)
    const found = await siteOf(place.server)
      .schemas.find(place.schema, { signal })
      .then((now) => now && { same: now.id === place.id && now.oid === place.oid, closed: now.closed })
      .catch(() => ({ same: true }))
    throw classifyConnectionError(found, {
      cause: tellPassing(refused ? error.cause : error, refused),
      onDatabaseGone,
    })
  }

  /**
   * Of a schema that is there and open: while many roles are granted a session may hold on to what it knew before, and is
   * ended; and who was refused as somebody opened the schema is let in now. The next try knows.
   */
  function tellPassing(cause: unknown, refused: boolean): unknown {
    if (!(refused && isState(cause, '42501', '42704')) && !isLoginRefused(cause)) return tell(cause)
    return new TenancyError('provider_unavailable', 'The session was refused the tenant’s role', {
      cause: redactor.error(cause),
      retryAfter: 1,
    })
  }

  async function connect(
    { locator, purpose, verify, beforeUse, onDatabaseGone = () => {} }: ConnectTarget,
    call: CallOptions,
  ): Promise<Pool> {
    const place = placeOf(locator)
    const { server } = siteOf(place.server)
    const path = searchPath(place.schema, extensionsSchema)
    const ownConnections = isolation === 'role'
    const scope: Scope | undefined =
      ownConnections && pooler === 'session'
        ? undefined
        : {
            place,
            path,
            ...(isolation === 'set_role' && { role: roleOf(place.id) }),
            ...(pooler === 'transaction' && { login: await server.tenantLogin({ place, purpose }, call) }),
          }
    const statements = createStatements(scope, pooler)
    const target: Target & { readonly place: SchemaPlace } = {
      kind: 'tenant',
      key: keyOf(place, purpose),
      place,
      purpose,
      ...(ownConnections
        ? {
            verify: (connection) =>
              verify(async ({ sql, params = [] }) => {
                const { rows } = await statements.single(connection, { text: sql, values: [...params] })
                return rows
              }),
          }
        : {}),
    }
    const pool = server.pool()
    async function lease(): Promise<Lease<Connection>> {
      // Waiting for nothing would cost each query a turn.
      const asked = beforeUse?.()
      if (asked !== undefined) await asked
      return server.lease(pool, target)
    }
    const fail = (error: unknown): Promise<never> => explain(place, error, onDatabaseGone)
    const client = createTenantPool({
      lease,
      statements,
      max: settings.maxConnectionsPerTenant,
      onEnd: onDatabaseGone,
      fail,
      throwClientError(error) {
        throw tell(error)
      },
      cancel: (action, processID) => server.cancel(target, action, processID),
    })
    const role = ownConnections && purpose === 'manage' ? roleOf(place.id) : undefined
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
  const held = await lease()
  try {
    await statements.batch(held.connection, inputs)
    held.release()
  } catch (error) {
    if (leavesNoDoubt(error)) held.release()
    else held.destroy()
    throw error
  }
}

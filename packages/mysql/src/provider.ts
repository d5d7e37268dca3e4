import {
  type ConnectTarget,
  createRedactor,
  getServer,
  type Lease,
  leadingKeyword,
  mysqlMigrationSql,
  type ProviderHost,
  type Row,
  type ServerControlPlane,
  type Statement,
  spreadOverServers,
  type TenantProvider,
} from '@tenantry/multi-tenancy/provider'
import { Kysely } from 'kysely'
import type { Pool, PoolConnection } from 'mysql2/promise'
import { MultiStatementUnsupported, runMultiStatement } from './client/multi-statement.ts'
import { createTenantPool } from './client/tenant-pool.ts'
import type { Connection } from './connections/connection.ts'
import type { TenantTarget } from './connections/pool.ts'
import { createServer, type Server } from './connections/server.ts'
import { STRICT_SESSION } from './connections/sql-mode.ts'
import { createDatabases, type Databases } from './control-plane/databases.ts'
import { createRejections } from './control-plane/rejections.ts'
import { diagnose } from './diagnose.ts'
import { mysqlErrors } from './errors.ts'
import { mysqlKysely } from './kysely.ts'
import { type DatabasePlace, MAX_NAME_LENGTH, parseLocator, toLocator } from './locator.ts'
import { type MysqlProviderOptions, mysqlSettings } from './options.ts'

interface CoreAccess {
  readonly purpose: ConnectTarget['purpose']
  readonly leaseBatch: () => Promise<Lease<Connection>>
}

interface Site {
  readonly server: Server
  readonly databases: Databases
}

/** How the core's own statements reach the database of a client. */
const coreAccess = new WeakMap<Pool, CoreAccess>()

/**
 * Creates the provider for a database per tenant on one or several MySQL or MariaDB servers, with a user that has rights
 * on it only. The client is a pool of `mysql2/promise` bound to the tenant. Node only.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const provider = createMysqlProvider({ connection: process.env.MYSQL_URL, secret: process.env.USER_SECRET })
 */
export function createMysqlProvider(
  options: MysqlProviderOptions,
  host?: ProviderHost,
): TenantProvider<Pool> {
  const onConnectionError = (cause: unknown): void =>
    host?.reportError(mapError(cause), { operation: 'connection' })
  const settings = { ...mysqlSettings(options), onConnectionError }
  const { isolation } = settings
  const redactor = createRedactor()
  redactor.keep(settings.secret)
  const { mapError, toClientError } = mysqlErrors(redactor)
  const sites = new Map<string, Site>()
  for (const [name, each] of settings.servers) {
    const server = createServer({ ...each, name }, settings, redactor)
    sites.set(name, { server, databases: createDatabases(server, settings) })
  }

  const spread = spreadSites(sites, settings.placement)
  const getSite = (name: string): Site => getServer(sites, name)

  const rejections = createRejections({
    findDatabases: (name) => getSite(name).databases,
    mapError,
    redactor,
    connectTimeout: settings.connectTimeout,
  })

  async function connect({
    locator,
    purpose,
    verify,
    beforeUse,
    onDatabaseGone = () => {},
  }: ConnectTarget): Promise<Pool> {
    const place = parseLocator(locator)
    const { server } = getSite(place.server)
    const target: TenantTarget = {
      kind: 'tenant',
      place,
      async verify(ask) {
        if (isolation === 'shared') await rejections.checkRegistry(place, ask)
        await verify(({ sql, params }: Statement) => ask(sql, params))
      },
    }
    const lease = async (wanted: TenantTarget): Promise<Lease<Connection>> => {
      await beforeUse?.()
      return server.lease(wanted).catch((error: unknown) => rejections.explain(place, error, onDatabaseGone))
    }
    const client = createTenantPool({
      lease: () => lease(target),
      toClientError,
      cancel: server.cancel,
      format: server.format,
      max: settings.maxConnectionsPerTenant,
      onEnd: onDatabaseGone,
    })
    const batchTarget: TenantTarget = { ...target, kind: 'batch' }
    coreAccess.set(client, { purpose, leaseBatch: () => lease(batchTarget) })
    return client
  }

  /** Runs the core's own statements in order on one connection, in a strict session. */
  async function runStrict(client: Pool, statements: readonly Statement[]): Promise<Row[]> {
    const access = coreAccess.get(client)
    try {
      if (access !== undefined) return await runMultiStatement(await access.leaseBatch(), statements)
    } catch (error) {
      if (!(error instanceof MultiStatementUnsupported)) throw toClientError(error)
    }
    const connection = await client.getConnection()
    try {
      await connection.query(STRICT_SESSION)
      let rows: Row[] = []
      for (const statement of statements) rows = await queryRows(connection, statement)
      return rows
    } finally {
      connection.release()
    }
  }

  return {
    name: 'mysql',
    capabilities: { dialect: 'mysql', transactions: true, transactionalDdl: false },
    migrationSql: mysqlMigrationSql,
    naming: { maxLength: MAX_NAME_LENGTH, separator: '_' },

    ...spread,
    connect,
    query: (client, statement) =>
      coreAccess.get(client)?.purpose !== 'manage' && leadingKeyword(statement.sql, 'mysql') === 'SELECT'
        ? queryRows(client, statement)
        : runStrict(client, [statement]),
    async batch(client, statements) {
      if (statements.length > 0) await runStrict(client, statements)
    },
    kysely: (client) => new Kysely<any>({ dialect: mysqlKysely(client) }),
    mapError,
    diagnose: ({ tenants }, call) => diagnose([...sites.values()], settings, tenants, call),
  }
}

async function queryRows(on: Pool | PoolConnection, { sql, params = [] }: Statement): Promise<Row[]> {
  const shape = { rowsAsArray: false, nestTables: false, typeCast: true }
  const [rows] = await on.query({ sql, values: [...params], ...shape })
  return Array.isArray(rows) ? (rows as Row[]) : []
}

function spreadSites(
  sites: ReadonlyMap<string, Site>,
  placement: (name: string) => string,
): ReturnType<typeof spreadOverServers> {
  const controlPlanes = [...sites].map(([name, { server, databases }]) => {
    const controlPlane: ServerControlPlane<DatabasePlace> = {
      ...databases,
      find: async (wanted, call) => (await databases.find(wanted, call))?.place,
      drop: (place, call) => server.drain(place, () => databases.drop(place, call)),
      close: server.close,
    }
    return [name, controlPlane] as const
  })
  return spreadOverServers(new Map(controlPlanes), { placement, toLocator, parseLocator })
}

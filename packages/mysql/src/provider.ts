import {
  type ConnectTarget,
  classifyConnectionError,
  createRedactor,
  type DatabaseStatus,
  getServer,
  type Lease,
  leadingKeyword,
  mysqlMigrationSql,
  type Row,
  type ServerControlPlane,
  type Statement,
  spreadOverServers,
  TenancyError,
  type TenantProvider,
} from '@tenantry/multi-tenancy/provider'
import { Kysely } from 'kysely'
import type { Pool, PoolConnection } from 'mysql2/promise'
import { MultiStatementUnsupported, runMultiStatement } from './client/multi-statement.ts'
import { createTenantPool } from './client/tenant-pool.ts'
import type { Connection } from './connections/connection.ts'
import { createServer, type Server, type TenantTarget } from './connections/pool.ts'
import { STRICT_SESSION } from './connections/sql-mode.ts'
import { createDatabases, type Databases } from './control-plane/databases.ts'
import { diagnose } from './diagnose.ts'
import { isNumber, mysqlErrors } from './errors.ts'
import { mysqlKysely } from './kysely.ts'
import { type DatabasePlace, locatorOf, MAX_NAME_LENGTH, placeOf } from './locator.ts'
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

/** The account is locked (MySQL, MariaDB). */
const LOCKED = [3118, 4151]
/** Access denied to the user or to its database, or locked; no such database. */
const REFUSED = [1044, 1045, 1698, ...LOCKED]
const MISSING = [1046, 1049]

/**
 * A database per tenant on one or several MySQL or MariaDB servers, and a user with rights on it alone. The client is a
 * pool of `mysql2/promise` bound to the tenant. Node only.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const provider = createMysqlProvider({ connection: process.env.MYSQL_URL, secret: process.env.USER_SECRET })
 */
export function createMysqlProvider(options: MysqlProviderOptions): TenantProvider<Pool> {
  const settings = mysqlSettings(options)
  const { isolation } = settings
  const redactor = createRedactor()
  redactor.keep(settings.secret)
  const { mapError, toClientError } = mysqlErrors(redactor)
  const sites = new Map<string, Site>()
  for (const [name, each] of settings.servers) {
    const server = createServer({ ...each, name }, settings, redactor)
    sites.set(name, { server, databases: createDatabases(server, settings) })
  }

  const spread = spreadOverServers(
    new Map(
      [...sites].map(([name, { server, databases }]) => [
        name,
        {
          ...databases,
          find: async (wanted, call) => (await databases.find(wanted, call))?.place,
          drop: (place, call) => server.drain(place, () => databases.drop(place, call)),
          close: server.close,
        } satisfies ServerControlPlane<DatabasePlace>,
      ]),
    ),
    { placement: settings.placement, toLocator: locatorOf, parseLocator: placeOf },
  )
  const siteOf = (name: string): Site => getServer(sites, name)

  /**
   * Says why a connection was refused: the tenant is gone, made anew, or shut. (Of a statement nothing is looked up: its
   * connection may be the last one there is.)
   */
  async function explain(place: DatabasePlace, error: unknown, lost: () => void): Promise<never> {
    // MariaDB answers for a user that is not there with any authentication it knows, the driver's or not.
    const unknown = (error as { code?: unknown }).code === 'AUTH_SWITCH_PLUGIN_ERROR'
    const found = unknown || isNumber(error, ...REFUSED, ...MISSING) ? await look(place) : { same: true }
    throw classifyConnectionError(found, {
      cause: isNumber(error, ...LOCKED) ? tellPassing(error) : mapError(error),
      onDatabaseGone: lost,
    })
  }

  /** Of a database that is there and open: who was refused as somebody opened it is let in now. */
  function tellPassing(error: unknown): TenancyError {
    return new TenancyError('provider_unavailable', 'The tenant’s user was locked', {
      cause: redactor.error(error),
      retryAfter: 1,
    })
  }

  async function look({ server, database, id }: DatabasePlace): Promise<DatabaseStatus | undefined> {
    const signal = AbortSignal.timeout(settings.connectTimeout)
    return siteOf(server)
      .databases.find(database, { signal })
      .then((now) => now && foundIn({ id: now.place.id, access: now.access }, id))
      .catch(() => ({ same: true }))
  }

  /** In a shared set-up no credential says who may come in, so each new or turned connection asks the registry. */
  async function checkEntry(place: DatabasePlace, ask: (sql: string, values: string[]) => Promise<Row[]>) {
    const { table } = siteOf(place.server).databases.registry
    const [row] = await ask(`SELECT id, access FROM ${table} WHERE name = ?`, [place.database])
    const refusal = classifyConnectionError(row && foundIn(row, place.id))
    if (refusal !== undefined) throw refusal
  }

  async function connect({
    locator,
    purpose,
    verify,
    beforeUse,
    onDatabaseGone = () => {},
  }: ConnectTarget): Promise<Pool> {
    const place = placeOf(locator)
    const { server } = siteOf(place.server)
    const target: TenantTarget = {
      kind: 'tenant',
      place,
      async verify(ask) {
        if (isolation === 'shared') await checkEntry(place, ask)
        await verify(({ sql, params }: Statement) => ask(sql, params))
      },
    }
    const lease = async (wanted: TenantTarget): Promise<Lease<Connection>> => {
      await beforeUse?.()
      return server.lease(wanted).catch((error: unknown) => explain(place, error, onDatabaseGone))
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
      for (const statement of statements) rows = await rowsOf(connection, statement)
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
        ? rowsOf(client, statement)
        : runStrict(client, [statement]),
    async batch(client, statements) {
      if (statements.length > 0) await runStrict(client, statements)
    },
    kysely: (client) => new Kysely<any>({ dialect: mysqlKysely(client) }),
    mapError,
    diagnose: ({ tenants }, call) => diagnose([...sites.values()], settings, tenants, call),
  }
}

async function rowsOf(on: Pool | PoolConnection, { sql, params = [] }: Statement): Promise<Row[]> {
  const shape = { rowsAsArray: false, nestTables: false, typeCast: true }
  const [rows] = await on.query({ sql, values: [...params], ...shape })
  return Array.isArray(rows) ? (rows as Row[]) : []
}

/** A registry's entry, as the database it stands for; one that is being dropped is as good as gone. */
function foundIn({ id, access }: Row, wanted: string): DatabaseStatus | undefined {
  return access === 'dropping' ? undefined : { same: id === wanted, closed: access === 'closed' }
}

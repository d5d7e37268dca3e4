import path from 'node:path'
import type { Client } from '@libsql/client/sqlite3'
import {
  type ConnectTarget,
  checkConnectionLimits,
  classifyConnectionError,
  configError,
  createLeasePool,
  type Environment,
  type Lease,
  type Locator,
  sqliteMigrationSql,
  TenancyError,
  type TenantProvider,
} from '@tenantry/multi-tenancy/provider'
import { Kysely } from 'kysely'
import { libsqlKysely } from '../kysely.ts'
import { toBound, toRows } from '../libsql/values.ts'
import { parseTimeout } from '../timeout-option.ts'
import { createPatience } from './busy-retry.ts'
import { createFileClient } from './client.ts'
import { closeConnection, type FileConnection, type FileTarget, openConnection } from './connection.ts'
import { type DatabaseFile, MAX_NAME_LENGTH, openFiles } from './database-files.ts'
import { mapError } from './errors.ts'

/** Where the files are, and how many connections may be open. */
export interface LibsqlFileProviderOptions {
  /** The directory of all tenant databases. Made when missing, for this user alone. */
  readonly root: string
  /**
   * Connections in all; each keeps up to three files open.
   *
   * @default 100
   */
  readonly maxConnections?: number
  /**
   * Connections of one tenant. Only open transactions need more than one: a statement runs at once.
   *
   * @default 5
   */
  readonly maxConnectionsPerTenant?: number
  /**
   * Statements and transactions of one tenant that may wait for a connection; the next one is refused with
   * `pool_exhausted`. `Infinity` for no bound.
   *
   * @default 10_000
   */
  readonly maxWaiting?: number
  /**
   * Milliseconds to wait for a free connection.
   *
   * @default 5_000
   */
  readonly queueTimeout?: number
  /**
   * Milliseconds to wait for a lock that another connection or process holds.
   *
   * @default 5_000
   */
  readonly busyTimeout?: number
  /**
   * Milliseconds after which a transaction without a statement is rolled back, so that one forgotten cannot keep
   * its tenant locked. (Turso ends one after 5 to 10 seconds.)
   *
   * @default 30_000
   */
  readonly transactionIdleTimeout?: number
  /**
   * Milliseconds that `drop` waits for statements and transactions still running.
   *
   * @default 10_000
   */
  readonly drainTimeout?: number
  /** Replaces clock and sleep: for tests. */
  readonly environment?: Partial<Pick<Environment, 'now' | 'sleep'>>
}

/**
 * A database file per tenant, opened in this process by native libSQL. Node only, and one machine only: SQLite's
 * locks do not work over a network.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const provider = createLibsqlFileProvider({ root: './data/tenants' })
 */
export function createLibsqlFileProvider(options: LibsqlFileProviderOptions): TenantProvider<Client> {
  const { root, maxConnections = 100, maxConnectionsPerTenant = 5 } = options
  const { maxWaiting = 10_000, queueTimeout = 5_000 } = options
  checkConnectionLimits({ maxConnections, maxConnectionsPerTenant, maxWaiting, queueTimeout })
  if (typeof root !== 'string' || root === '' || root.includes('\0')) {
    throw configError('root', 'must be the path of a directory')
  }
  const busyTimeout = parseTimeout('busyTimeout', options.busyTimeout ?? 5_000, 0)
  const transactionIdleTimeout = parseTimeout(
    'transactionIdleTimeout',
    options.transactionIdleTimeout ?? 30_000,
    0,
  )
  const drainTimeout = parseTimeout('drainTimeout', options.drainTimeout ?? 10_000, 0)
  // An empty path, or one from a variable that was not set, would scatter databases over the working directory.
  const files = openFiles(path.resolve(root))
  const { now = Date.now, sleep = pause } = options.environment ?? {}
  const patience = createPatience(busyTimeout, { now, sleep })
  const pool = createLeasePool<FileConnection, FileTarget>({
    open: (target) => patience.wait(() => openConnection(files, target), patience.deadline()),
    close: async (connection) => closeConnection(connection),
    clean: ({ tainted, client }) => !tainted && !client.closed,
    max: maxConnections,
    maxPerKey: maxConnectionsPerTenant,
    maxWaiting,
    queueTimeout,
  })

  /** A connection to the file that is at the path now: a deleted one stays readable to whoever has it open. */
  async function lease(
    target: FileTarget,
    { beforeUse, onDatabaseGone }: Use,
  ): Promise<Lease<FileConnection>> {
    const { file } = target
    for (;;) {
      await beforeUse?.()
      files.checkOpen(file)
      const mark = await present(file, files.mark, onDatabaseGone)
      const leased = await pool.acquire(keyOf(file), target)
      try {
        // It may have been closed while this waited for its turn.
        files.checkOpen(file)
      } catch (error) {
        leased.release()
        throw error
      }
      if (leased.connection.mark === mark) return leased
      leased.destroy()
    }
  }

  /**
   * Looks at a file that should be there.
   *
   * @throws `tenant_not_found` when it is gone, `stale_tenant` when another is there under the name
   */
  async function present(
    file: DatabaseFile,
    look: (file: DatabaseFile) => string,
    onDatabaseGone: ConnectTarget['onDatabaseGone'],
  ): Promise<string> {
    try {
      return look(file)
    } catch (cause) {
      const gone = cause instanceof TenancyError && cause.code === 'tenant_not_found'
      const other = gone ? await files.find(file.name) : undefined
      throw classifyConnectionError({ same: other === undefined }, { cause, onDatabaseGone })
    }
  }

  return {
    name: 'libsql-file',
    capabilities: { dialect: 'sqlite', transactions: true, transactionalDdl: true },
    migrationSql: sqliteMigrationSql,
    naming: { maxLength: MAX_NAME_LENGTH, separator: '_' },

    async create(name) {
      const { file, created } = await files.create(name)
      return { locator: locatorOf(file), created }
    },
    async find(name) {
      const file = await files.find(name)
      return file && locatorOf(file)
    },
    async drop(locator) {
      const file = fileOf(locator)
      await pool.drain(keyOf(file), { deadline: drainTimeout, during: () => files.remove(file) })
    },
    async setAccess(locator, access) {
      const file = fileOf(locator)
      await files.setAccess(file, access)
      // From here on no statement begins, in any process; what is open in this one is rolled back.
      if (access === 'closed') await pool.drain(keyOf(file), { deadline: 0 })
    },
    async list({ prefix }) {
      const found = await files.list(prefix)
      return { databases: found.map((file) => ({ name: file.name, locator: locatorOf(file) })) }
    },

    async connect({ locator, verify, ...use }: ConnectTarget) {
      const file = fileOf(locator)
      files.checkOpen(file)
      await present(file, files.path, use.onDatabaseGone)
      const target = { file, verify }
      return createFileClient({
        lease: () => lease(target, use),
        checkOpen: () => files.checkOpen(file),
        patience,
        transactionIdleTimeout,
        onDatabaseGone: use.onDatabaseGone,
      })
    },
    async query(client, { sql, params = [] }) {
      return toRows(await client.execute({ sql, args: params.map(toBound) }))
    },
    async batch(client, statements) {
      await client.batch(
        statements.map(({ sql, params = [] }) => ({ sql, args: params.map(toBound) })),
        'write',
      )
    },
    async batchWithoutForeignKeys(client, statements) {
      await client.migrate(statements.map(({ sql, params = [] }) => ({ sql, args: params.map(toBound) })))
    },
    kysely: (client) => new Kysely<any>({ dialect: libsqlKysely(client) }),
    mapError,
    close: () => pool.close({ deadline: drainTimeout }),
  }
}

type Use = Pick<ConnectTarget, 'beforeUse' | 'onDatabaseGone'>

function locatorOf({ name, id }: DatabaseFile): Locator {
  return { name, id }
}

function fileOf({ name, id }: Locator): DatabaseFile {
  if (typeof name !== 'string' || typeof id !== 'string') {
    throw new TenancyError('internal', 'The locator is not one of a database file')
  }
  return { name, id }
}

function keyOf({ name, id }: DatabaseFile): string {
  return `${name}/${id}`
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

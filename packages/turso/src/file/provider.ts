import type { Client } from '@libsql/client/sqlite3'
import { type ConnectTarget, sqliteMigrationSql, type TenantProvider } from '@tenantry/multi-tenancy/provider'
import { Kysely } from 'kysely'
import { libsqlKysely } from '../kysely.ts'
import { getDriverClient, withIntMode } from '../libsql/int-mode.ts'
import { toBound, toCoreRows } from '../libsql/values.ts'
import { createBusyRetry } from './busy-retry.ts'
import { createFileClient } from './client.ts'
import { openDatabaseFiles } from './database-files.ts'
import { MAX_NAME_LENGTH } from './database-paths.ts'
import { mapError } from './errors.ts'
import { createFilePool } from './file-pool.ts'
import { parseLocator, toLocator } from './locator.ts'
import { type LibsqlFileProviderOptions, resolveFileOptions } from './options.ts'

/**
 * A database file for each tenant, opened in this process by native libSQL. Node only, and on one machine only:
 * SQLite's locks do not work over a network.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const provider = createLibsqlFileProvider({ root: './data/tenants' })
 */
export function createLibsqlFileProvider(options: LibsqlFileProviderOptions): TenantProvider<Client> {
  const settings = resolveFileOptions(options)
  const { root, busyTimeout, transactionIdleTimeout, drainTimeout, intMode, environment } = settings
  const files = openDatabaseFiles(root)
  const busyRetry = createBusyRetry(busyTimeout, environment)
  const pool = createFilePool({ ...settings, files, busyRetry })

  return {
    name: 'libsql-file',
    capabilities: { dialect: 'sqlite', transactions: true, transactionalDdl: true },
    migrationSql: sqliteMigrationSql,
    naming: { maxLength: MAX_NAME_LENGTH, separator: '_' },

    async create(name) {
      const { file, created } = await files.create(name)
      return { locator: toLocator(file), created }
    },
    async find(name) {
      const file = await files.find(name)
      return file && toLocator(file)
    },
    async drop(locator) {
      const file = parseLocator(locator)
      await pool.drain(file, { deadline: drainTimeout, during: () => files.remove(file) })
    },
    async setAccess(locator, access) {
      const file = parseLocator(locator)
      await files.setAccess(file, access)
      // No process begins a statement from here on. Transactions that are open in this process are rolled back.
      if (access === 'closed') await pool.drain(file, { deadline: 0 })
    },
    async list({ prefix }) {
      const databases = await files.list(prefix)
      return { databases: databases.map((file) => ({ name: file.name, locator: toLocator(file) })) }
    },

    async connect({ locator, verify, beforeUse, onDatabaseGone }: ConnectTarget) {
      const file = parseLocator(locator)
      files.checkOpen(file)
      await pool.checkPresent(file, onDatabaseGone)
      const client = createFileClient({
        lease: () => pool.lease({ file, verify }, { beforeUse, onDatabaseGone }),
        checkOpen: () => files.checkOpen(file),
        busyRetry,
        transactionIdleTimeout,
        onDatabaseGone,
      })
      return withIntMode(client, intMode)
    },
    async query(client, { sql, params = [] }) {
      return toCoreRows(await getDriverClient(client).execute({ sql, args: params.map(toBound) }))
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

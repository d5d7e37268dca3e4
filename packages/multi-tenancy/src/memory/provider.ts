import { CompiledQuery, type Kysely } from 'kysely'
import { classifyConnectionError } from '../provider-kit/connection-loss.ts'
import { sqliteMigrationSql } from '../provider-kit/migration-sql/migration-sql.ts'
import type { ConnectTarget, Row, Statement, TenantProvider } from '../types/provider.ts'
import { mapError } from './errors.ts'
import { openSqlite } from './sqlite.ts'
import { createView } from './view.ts'

/** The client's shape: a database per tenant leaves nothing for a driver of its own to do. */
export type MemoryClient = Kysely<any>

/** The databases, by physical name. */
export interface MemoryServer extends Map<string, MemoryClient> {
  /** The names of those that `setAccess` closed. */
  readonly closed: Set<string>
}

/** A server to share between providers, or to look into from a test. */
export function createMemoryServer(): MemoryServer {
  return Object.assign(new Map<string, MemoryClient>(), { closed: new Set<string>() })
}

/** The reference provider: SQLite databases in memory, one per tenant. */
export function createMemoryProvider(
  server: MemoryServer = createMemoryServer(),
): TenantProvider<MemoryClient> {
  function getDatabase(name: string): MemoryClient {
    const database = server.get(name)
    if (database === undefined) throw classifyConnectionError(undefined)
    return database
  }

  /** Throws unless the database of a client still exists and is open. */
  function assertOpen(
    name: string,
    database: MemoryClient,
    onDatabaseGone: ConnectTarget['onDatabaseGone'],
  ): void {
    const now = server.get(name)
    const refusal = classifyConnectionError(
      now && { same: now === database, closed: server.closed.has(name) },
      {
        onDatabaseGone,
      },
    )
    if (refusal !== undefined) throw refusal
  }

  return {
    name: 'memory',
    capabilities: { dialect: 'sqlite', transactions: true, transactionalDdl: true },
    migrationSql: sqliteMigrationSql,
    naming: { maxLength: 64, separator: '_' },

    async create(name) {
      const created = !server.has(name)
      if (created) server.set(name, openSqlite())
      return { locator: { name }, created }
    },
    async find(name) {
      return server.has(name) ? { name } : undefined
    },
    async drop(locator) {
      const name = String(locator.name)
      const client = server.get(name)
      server.delete(name)
      server.closed.delete(name)
      // Kysely waits for open transactions; later calls find the database closed.
      await client?.destroy()
    },
    async setAccess(locator, access) {
      const name = String(locator.name)
      getDatabase(name)
      if (access === 'closed') server.closed.add(name)
      else server.closed.delete(name)
    },
    async list({ prefix }) {
      const names = [...server.keys()].filter((name) => name.startsWith(prefix))
      return { databases: names.map((name) => ({ name, locator: { name } })) }
    },

    async connect({ locator, beforeUse: admit, onDatabaseGone: lost }) {
      const name = String(locator.name)
      const database = getDatabase(name)
      return createView(database, { admit, check: () => assertOpen(name, database, lost), onEnd: lost })
    },
    async query(client, statement) {
      return (await client.executeQuery<Row>(compiled(statement))).rows
    },
    async batch(client, statements) {
      await client.transaction().execute(async (transaction) => {
        for (const statement of statements) await transaction.executeQuery(compiled(statement))
      })
    },
    async batchWithoutForeignKeys(client, statements) {
      await client.connection().execute(async (connection) => {
        await connection.executeQuery(CompiledQuery.raw('PRAGMA foreign_keys = OFF'))
        await connection.transaction().execute(async (transaction) => {
          for (const statement of statements) await transaction.executeQuery(compiled(statement))
        })
      })
    },
    kysely: (client) => client,
    mapError,
    async close() {},
  }
}

function compiled({ sql, params = [] }: Statement): CompiledQuery {
  return CompiledQuery.raw(sql, [...params])
}

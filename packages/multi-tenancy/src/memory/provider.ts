import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { CompiledQuery, Kysely, SqliteDialect } from 'kysely'
import type { Row, Statement, TenantProvider } from '../contract.ts'
import { TenancyError } from '../errors.ts'
import { mapError } from './errors.ts'

/** The client's shape: a database per tenant leaves nothing for a driver of its own to do. */
export type MemoryClient = Kysely<any>

/** The databases, by physical name. */
export type MemoryServer = Map<string, MemoryClient>

/** A server to share between providers, or to look into from a test. */
export function createMemoryServer(): MemoryServer {
  return new Map()
}

/** The reference provider: SQLite databases in memory, one per tenant. */
export function createMemoryProvider(
  server: MemoryServer = createMemoryServer(),
): TenantProvider<MemoryClient> {
  return {
    name: 'memory',
    capabilities: { dialect: 'sqlite', transactions: true, transactionalDdl: true },
    naming: { maxLength: 64, separator: '_' },

    async create(name) {
      const created = !server.has(name)
      if (created) server.set(name, openDatabase())
      return { locator: { name }, created }
    },
    async find(name) {
      return server.has(name) ? { name } : undefined
    },
    async drop(locator) {
      const name = String(locator.name)
      const client = server.get(name)
      server.delete(name)
      // Kysely waits for who is in a transaction; whoever comes later finds it closed.
      await client?.destroy()
    },
    async list({ prefix }) {
      const names = [...server.keys()].filter((name) => name.startsWith(prefix))
      return { databases: names.map((name) => ({ name, locator: { name } })) }
    },

    async connect({ locator }) {
      const client = server.get(String(locator.name))
      if (client === undefined) throw new TenancyError('tenant_not_found', 'The database does not exist')
      return client
    },
    async query(client, statement) {
      return (await client.executeQuery<Row>(compiled(statement))).rows
    },
    async batch(client, statements) {
      await client.transaction().execute(async (transaction) => {
        for (const statement of statements) await transaction.executeQuery(compiled(statement))
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

/** One Kysely per database: its lock is what keeps two callers' transactions apart. */
function openDatabase(): MemoryClient {
  const database = new DatabaseSync(':memory:')
  return new Kysely<any>({
    dialect: new SqliteDialect({
      database: {
        close: () => database.close(),
        prepare(sql) {
          const statement = database.prepare(sql)
          const bind = (values: readonly unknown[]): SQLInputValue[] =>
            values.map((value) => (typeof value === 'boolean' ? Number(value) : (value as SQLInputValue)))
          return {
            reader: statement.columns().length > 0,
            all: (values) => statement.all(...bind(values)),
            run: (values) => statement.run(...bind(values)),
            iterate: (values) => statement.iterate(...bind(values)) as IterableIterator<unknown>,
          }
        },
      },
    }),
  })
}

import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { hasOpenTransaction } from './sqlite.ts'

/** What a view asks before it lets its user through. */
export interface ViewOptions {
  /** Awaited before each use: each statement outside a transaction, each transaction as it begins. */
  readonly admit: (() => void | Promise<void>) | undefined
  /** Called before each statement, also inside a transaction; throws once the database is closed or gone. */
  readonly check: () => void
  /** Called when the holder ends the view: the next caller that opens the tenant needs another one. */
  readonly onEnd: (() => void) | undefined
}

/** The settings of a connection that change what statements do, as they are at first. */
const SETTINGS = [
  'foreign_keys = ON',
  'ignore_check_constraints = OFF',
  'legacy_alter_table = OFF',
  'query_only = OFF',
  'recursive_triggers = OFF',
]

interface HeldConnection {
  readonly shared: DatabaseConnection
  readonly release: () => void
  /** A setting may have been changed, which the next user of the connection must not meet. */
  hasSettings: boolean
}

/**
 * A Kysely over the database's own that holds no connection: each use waits for the one there is, as every other
 * view of the database does, and gives it back. So views can be kept and forgotten freely.
 */
export function createView(database: Kysely<any>, { admit, check, onEnd }: ViewOptions): Kysely<any> {
  const executor = database.getExecutor()
  const connections = new WeakMap<DatabaseConnection, HeldConnection>()

  function hold(shared: DatabaseConnection, release: () => void): DatabaseConnection {
    const own: HeldConnection = { shared, release, hasSettings: false }
    const connection: DatabaseConnection = {
      async executeQuery(query) {
        check()
        own.hasSettings ||= /pragma/i.test(query.sql)
        return shared.executeQuery(query)
      },
      async *streamQuery(query, chunkSize) {
        check()
        yield* shared.streamQuery(query, chunkSize)
      },
    }
    connections.set(connection, own)
    return connection
  }

  const driver: Driver = {
    async init() {},
    async acquireConnection() {
      await admit?.()
      return new Promise((resolve, reject) => {
        const use = executor.provideConnection(async (shared) => {
          // Closed while this use waited for its turn.
          check()
          await new Promise<void>((release) => resolve(hold(shared, release)))
        })
        use.catch((error: unknown) => {
          try {
            // For a dropped database the executor reports only that it was destroyed.
            check()
            reject(error)
          } catch (cause) {
            reject(cause)
          }
        })
      })
    },
    async beginTransaction(connection) {
      await connection.executeQuery(CompiledQuery.raw('begin'))
    },
    async commitTransaction(connection) {
      await connection.executeQuery(CompiledQuery.raw('commit'))
    },
    async rollbackTransaction(connection) {
      // Past the check: what a closed database refuses to go on with is undone.
      await connections.get(connection)?.shared.executeQuery(CompiledQuery.raw('rollback'))
    },
    async releaseConnection(connection) {
      const { shared, release, hasSettings } = connections.get(connection) ?? {}
      try {
        // A forgotten BEGIN would take the next use's statements into its transaction.
        if (hasOpenTransaction(database)) await shared?.executeQuery(CompiledQuery.raw('rollback'))
        if (hasSettings)
          for (const setting of SETTINGS) await shared?.executeQuery(CompiledQuery.raw(`PRAGMA ${setting}`))
      } finally {
        release?.()
      }
    },
    // The database is the server's to end.
    async destroy() {
      onEnd?.()
    },
  }
  return new Kysely<any>({
    dialect: {
      // Kysely's own lock around a view would never open again after an admission that was refused.
      createAdapter: () =>
        Object.defineProperty(new SqliteAdapter(), 'supportsMultipleConnections', { value: true }),
      createDriver: () => driver,
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
}

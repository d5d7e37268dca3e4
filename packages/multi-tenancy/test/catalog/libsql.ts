import { createClient } from '@libsql/client/sqlite3'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'

type LibsqlClient = ReturnType<typeof createClient>
type Session = LibsqlClient | Awaited<ReturnType<LibsqlClient['transaction']>>

/** Kysely over a libSQL file: a transaction has a session of its own, everything else goes straight to the client. */
export function libsql(path: string): Kysely<any> {
  const client = createClient({ url: `file:${path}`, timeout: 5_000 })
  return new Kysely<any>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => createDriver(client),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
}

function createDriver(client: LibsqlClient): Driver {
  const transactions = new WeakMap<DatabaseConnection, Exclude<Session, LibsqlClient>>()
  const current = (connection: DatabaseConnection) => {
    const transaction = transactions.get(connection)
    if (transaction === undefined) throw new Error('There is no transaction')
    return transaction
  }
  return {
    init: async () => {},
    async acquireConnection() {
      const connection: DatabaseConnection = {
        executeQuery: (query) => run(transactions.get(connection) ?? client, query),
        // biome-ignore lint/correctness/useYield: a catalog streams nothing
        async *streamQuery() {
          throw new Error('not needed')
        },
      }
      return connection
    },
    async beginTransaction(connection) {
      transactions.set(connection, await client.transaction('write'))
    },
    commitTransaction: (connection) => current(connection).commit(),
    rollbackTransaction: (connection) => current(connection).rollback(),
    releaseConnection: async () => {},
    destroy: async () => client.close(),
  }
}

async function run<Row>(session: Session, { sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
  const { rows, rowsAffected } = await session.execute({ sql, args: [...parameters] as [] })
  return {
    rows: rows.map((row) => ({ ...row }) as Row),
    numAffectedRows: BigInt(rowsAffected),
  }
}

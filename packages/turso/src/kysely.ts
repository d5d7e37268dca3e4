import type { Client, ResultSet, Transaction } from '@libsql/client/web'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type TransactionSettings,
} from 'kysely'
import { notifyClosed } from './libsql/close-listeners.ts'
import { toBound, toRows } from './libsql/values.ts'

/**
 * A Kysely dialect over a libSQL client, remote or file. A transaction takes the write lock when it begins
 * (`BEGIN IMMEDIATE`), so that it does not fail halfway because another one wrote first; with
 * `accessMode: 'read only'` it takes no lock. Savepoints and isolation levels are not supported.
 *
 * @example
 * const db = new Kysely<Database>({ dialect: libsqlKysely(client) })
 */
export function libsqlKysely(client: Client): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => createDriver(client),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

interface LibsqlConnection extends DatabaseConnection {
  transaction: Transaction | undefined
}

/** Needs no pool: outside a transaction the client uses a connection for each statement. */
function createDriver(client: Client): Driver {
  return {
    async init() {},
    async acquireConnection() {
      return createConnection(client)
    },
    async beginTransaction(connection, { accessMode }: TransactionSettings) {
      const mode = accessMode === 'read only' ? 'read' : 'write'
      ;(connection as LibsqlConnection).transaction = await client.transaction(mode)
    },
    async commitTransaction(connection) {
      await (connection as LibsqlConnection).transaction?.commit()
    },
    async rollbackTransaction(connection) {
      await (connection as LibsqlConnection).transaction?.rollback()
    },
    async releaseConnection(connection) {
      const libsqlConnection = connection as LibsqlConnection
      libsqlConnection.transaction?.close()
      libsqlConnection.transaction = undefined
    },
    // The client itself stays usable; the factory replaces a client whose Kysely was destroyed.
    async destroy() {
      notifyClosed(client)
    },
  }
}

function createConnection(client: Client): LibsqlConnection {
  const connection: LibsqlConnection = {
    transaction: undefined,
    async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
      const statement = { sql, args: parameters.map(toBound) }
      return toResult<Row>(await (connection.transaction ?? client).execute(statement))
    },
    async *streamQuery<Row>(query: CompiledQuery) {
      yield await connection.executeQuery<Row>(query)
    },
  }
  return connection
}

function toResult<Row>(result: ResultSet): QueryResult<Row> {
  const { rowsAffected, lastInsertRowid } = result
  return {
    rows: toRows(result) as Row[],
    numAffectedRows: BigInt(rowsAffected),
    ...(lastInsertRowid === undefined ? {} : { insertId: lastInsertRowid }),
  }
}

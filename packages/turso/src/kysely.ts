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
 * A Kysely dialect over a libSQL client, remote or file. Transactions take the write lock at their start
 * (`BEGIN IMMEDIATE`), so that none fails halfway because another wrote first; with `accessMode: 'read only'` they
 * take none. Savepoints and isolation levels are not offered.
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

/** A libSQL client needs no pool: outside a transaction every statement has a connection of its own. */
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
      const own = connection as LibsqlConnection
      own.transaction?.close()
      own.transaction = undefined
    },
    // The client is whoever made it's to close; but a view whose Kysely is ended is nothing to hand out again.
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

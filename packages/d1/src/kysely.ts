import { TenancyError } from '@tenantry/multi-tenancy/provider'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteQueryCompiler,
} from 'kysely'
import type { D1PreparedStatement } from './client/d1-database.ts'
import { reportEnd } from './client/guarded-database.ts'
import { createIntrospector } from './client/introspector.ts'
import { toBindable } from './client/values.ts'

/** The part of a D1 database that Kysely needs: a binding, a session, or a client of this package. */
export interface D1Queries {
  prepare(query: string): Pick<D1PreparedStatement, 'all'> & {
    bind(...values: unknown[]): Pick<D1PreparedStatement, 'all'>
  }
}

/**
 * A Kysely dialect over D1: a Worker's own binding, or a client of this package. It reports the number of changed rows.
 * D1 has no interactive transactions: `transaction()` throws `not_supported`; use `client.batch`.
 *
 * @example
 * const db = new Kysely<Database>({ dialect: d1Kysely(env.DB) })
 */
export function d1Kysely(database: D1Queries): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => createDriver(database),
    createIntrospector,
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

function createDriver(database: D1Queries): Driver {
  const connection = createConnection(database)
  return {
    async init() {},
    acquireConnection: async () => connection,
    beginTransaction: rejectTransaction,
    commitTransaction: rejectTransaction,
    // Kysely calls it after `beginTransaction` threw.
    async rollbackTransaction() {},
    async releaseConnection() {},
    // There is no connection to close, but this Kysely rejects all later queries.
    async destroy() {
      reportEnd(database)
    },
  }
}

async function rejectTransaction(): Promise<never> {
  throw new TenancyError('not_supported', 'D1 has no interactive transactions; use batch() of the client')
}

function createConnection(database: D1Queries): DatabaseConnection {
  const connection: DatabaseConnection = {
    async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
      const bound = toBindable(sql, parameters)
      const statement = database.prepare(bound.sql)
      const { results, meta } = await (bound.params.length === 0
        ? statement
        : statement.bind(...bound.params)
      ).all<Row>()
      return {
        rows: results,
        numAffectedRows: BigInt(meta.changes ?? 0),
        insertId: BigInt(meta.last_row_id ?? 0),
      }
    },
    async *streamQuery<Row>(query: CompiledQuery) {
      yield await connection.executeQuery<Row>(query)
    },
  }
  return connection
}

/**
 * The adapters of a factory without `createAdapters`, as a base for an app's own.
 *
 * @example
 * const factory = createD1Factory({ accountId, apiToken, createAdapters: (db) => createD1Adapter<Tables>(db) })
 */
export function createD1Adapter<Tables = any>(database: D1Queries): { db: Kysely<Tables> } {
  return { db: new Kysely<Tables>({ dialect: d1Kysely(database) }) }
}

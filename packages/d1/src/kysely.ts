import { TenancyError } from '@tenantry/multi-tenancy'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteQueryCompiler,
} from 'kysely'
import type { D1PreparedStatement } from './client/d1-database.ts'
import { createIntrospector } from './client/introspector.ts'
import { toBindable } from './client/values.ts'

/** What of a D1 database Kysely needs: a binding, a session, or a client of this package on any rung. */
export interface D1Queries {
  prepare(query: string): Pick<D1PreparedStatement, 'all'> & {
    bind(...values: unknown[]): Pick<D1PreparedStatement, 'all'>
  }
}

/**
 * A Kysely dialect over D1: a Worker's own binding, or a client of this package. It reports how many rows were
 * changed. D1 has no transactions with reads in between: `transaction()` throws `not_supported`; use
 * `client.batch`.
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
    beginTransaction: refuse,
    commitTransaction: refuse,
    // Kysely calls it after `beginTransaction` threw.
    async rollbackTransaction() {},
    async releaseConnection() {},
    // The database is whoever bound it's to close.
    async destroy() {},
  }
}

async function refuse(): Promise<never> {
  throw new TenancyError('not_supported', 'D1 has no transactions with reads in between; use batch')
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

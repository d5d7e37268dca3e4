import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  MysqlAdapter,
  MysqlIntrospector,
  MysqlQueryCompiler,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { TenancyError } from '../errors.ts'
import type { Capabilities, Row, SqlValue, Statement } from '../types/provider.ts'
import type { Lease } from './pool/lease.ts'

/** The result of one statement, as the driver reports it. */
export interface StatementResult {
  readonly rows: Row[]
  readonly numAffectedRows?: bigint
  readonly insertId?: bigint
}

export interface LeasedClientOptions<Connection> {
  readonly dialect: Capabilities['dialect']
  /** Leases a connection for one use. Await `beforeUse` of the `ConnectTarget` first, then call `acquire` of the pool. */
  acquire(): Promise<Lease<Connection>>
  /** Runs one statement on a connection. `BEGIN`, `COMMIT` and `ROLLBACK` are statements, too. */
  run(connection: Connection, statement: Statement): Promise<StatementResult>
  /**
   * Called when a handler destroys a Kysely of the client. A destroyed Kysely rejects every later query: pass
   * `onDatabaseGone` of the `ConnectTarget`, so that the next request opens the tenant again.
   */
  readonly onEnd?: (() => void) | undefined
}

/** A client that holds no connection: each statement, batch or transaction leases one and returns it. */
export interface LeasedClient {
  /** For the member `query`. */
  query(statement: Statement): Promise<Row[]>
  /** For the member `batch`: one transaction, or nothing for an empty list. */
  batch(statements: readonly Statement[]): Promise<void>
  /** For the member `kysely`. */
  kysely(): Kysely<any>
}

/**
 * Creates the client of a pooled provider from three functions: `acquire`, `run` and the lease's `release`. A
 * transaction whose end fails, or that its user abandons, ends its connection. The pool's `clean` decides about all
 * other connections.
 *
 * @example
 * const client = createLeasedClient({
 *   dialect: 'sqlite',
 *   async acquire() {
 *     await target.beforeUse?.()
 *     return pool.acquire(key, target)
 *   },
 *   run: (connection, statement) => connection.execute(statement),
 *   onEnd: target.onDatabaseGone,
 * })
 */
export function createLeasedClient<Connection>(options: LeasedClientOptions<Connection>): LeasedClient {
  const { acquire, run } = options

  async function use<Result>(work: (connection: Connection) => Promise<Result>): Promise<Result> {
    const lease = await acquire()
    try {
      return await work(lease.connection)
    } finally {
      lease.release()
    }
  }

  return {
    query: (statement) => use(async (connection) => (await run(connection, statement)).rows),
    async batch(statements) {
      if (statements.length === 0) return
      const transaction = createLeasedConnection(await acquire(), run)
      try {
        await transaction.begin()
        for (const statement of statements) await transaction.run(statement)
        await transaction.end('COMMIT')
      } catch (error) {
        await transaction.end('ROLLBACK').catch(() => {})
        throw error
      } finally {
        transaction.release()
      }
    },
    kysely: () => new Kysely<any>({ dialect: createDialect(options) }),
  }
}

interface LeasedConnection extends DatabaseConnection {
  run(statement: Statement): Promise<StatementResult>
  begin(): Promise<void>
  end(statement: 'COMMIT' | 'ROLLBACK'): Promise<void>
  release(): void
}

/** A connection as Kysely uses it, from its lease to its return. */
function createLeasedConnection<Connection>(
  lease: Lease<Connection>,
  run: LeasedClientOptions<Connection>['run'],
): LeasedConnection {
  let isOpen = false
  const connection: LeasedConnection = {
    run: (statement) => run(lease.connection, statement),
    async begin() {
      // Open from here on: when the reply is lost, the transaction may have begun.
      isOpen = true
      await connection.run({ sql: 'BEGIN' })
    },
    async end(sql) {
      if (!isOpen) return
      await connection.run({ sql })
      isOpen = false
    },
    release() {
      if (isOpen) lease.destroy()
      else lease.release()
    },
    async executeQuery<R>({ sql, parameters }: CompiledQuery) {
      const result = await connection.run({ sql, params: parameters as SqlValue[] })
      return { ...result, rows: result.rows as R[] }
    },
    // biome-ignore lint/correctness/useYield: Kysely asks for a generator, which throws at its first use.
    async *streamQuery() {
      throw new TenancyError('not_supported', 'This client does not stream: use execute()')
    },
  }
  return connection
}

function createDriver<Connection>({ acquire, run, onEnd }: LeasedClientOptions<Connection>): Driver {
  return {
    async init() {},
    acquireConnection: async () => createLeasedConnection(await acquire(), run),
    beginTransaction: (connection) => (connection as LeasedConnection).begin(),
    commitTransaction: (connection) => (connection as LeasedConnection).end('COMMIT'),
    rollbackTransaction: (connection) => (connection as LeasedConnection).end('ROLLBACK'),
    releaseConnection: async (connection) => (connection as LeasedConnection).release(),
    // The pool belongs to the provider, which closes it.
    destroy: async () => onEnd?.(),
  }
}

function createDialect<Connection>(options: LeasedClientOptions<Connection>): Dialect {
  const createKyselyDriver = (): Driver => createDriver(options)
  if (options.dialect === 'postgres')
    return {
      createDriver: createKyselyDriver,
      createAdapter: () => new PostgresAdapter(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    }
  if (options.dialect === 'mysql')
    return {
      createDriver: createKyselyDriver,
      createAdapter: () => new MysqlAdapter(),
      createIntrospector: (db) => new MysqlIntrospector(db),
      createQueryCompiler: () => new MysqlQueryCompiler(),
    }
  return {
    createDriver: createKyselyDriver,
    // Kysely's lock around a single connection would stay closed after `acquire` has thrown.
    createAdapter: () =>
      Object.defineProperty(new SqliteAdapter(), 'supportsMultipleConnections', { value: true }),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

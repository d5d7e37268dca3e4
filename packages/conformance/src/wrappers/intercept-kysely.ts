import {
  type CompiledQuery,
  type ControlledTransaction,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
} from 'kysely'

export type KyselyCall = 'kysely.begin' | 'kysely.query' | 'kysely.commit' | 'kysely.rollback'

type Through = <Value>(member: KyselyCall, sql: string, run: () => Promise<Value>) => Promise<Value>

/**
 * A Kysely over another one, of which every statement, begin, commit and rollback goes through `through`.
 * Outside transactions each statement takes whatever connection the inner one gives it.
 *
 * @param transactions how to roll back each transaction that is open now
 */
export function interceptKysely(
  inner: Kysely<any>,
  transactions: Set<() => Promise<void>>,
  through: Through,
): Kysely<any> {
  const executor = inner.getExecutor()
  const open = new WeakMap<DatabaseConnection, { trx: ControlledTransaction<any>; end: () => void }>()

  function take(connection: DatabaseConnection): ControlledTransaction<any> | undefined {
    const entry = open.get(connection)
    open.delete(connection)
    entry?.end()
    return entry?.trx
  }

  function at(connection: DatabaseConnection): Kysely<any> {
    return open.get(connection)?.trx ?? inner
  }

  const driver: Driver = {
    async init() {},
    async acquireConnection() {
      const connection: DatabaseConnection = {
        executeQuery: <R>(query: CompiledQuery): Promise<QueryResult<R>> =>
          through('kysely.query', query.sql, () => at(connection).executeQuery<R>(query as CompiledQuery<R>)),
        streamQuery: <R>(query: CompiledQuery, size?: number) =>
          at(connection)
            .getExecutor()
            .stream<R>(query as CompiledQuery<R>, size ?? 1),
      }
      return connection
    },
    beginTransaction: (connection, { accessMode, isolationLevel }) =>
      through('kysely.begin', 'begin', async () => {
        let builder = inner.startTransaction()
        if (isolationLevel !== undefined) builder = builder.setIsolationLevel(isolationLevel)
        if (accessMode !== undefined) builder = builder.setAccessMode(accessMode)
        const trx = await builder.execute()
        const rollback = async (): Promise<void> => {
          await take(connection)?.rollback().execute()
        }
        transactions.add(rollback)
        open.set(connection, { trx, end: () => transactions.delete(rollback) })
      }),
    commitTransaction: (connection) =>
      through('kysely.commit', 'commit', async () => {
        await take(connection)?.commit().execute()
      }),
    // After a commit whose reply was lost there is nothing left to roll back.
    rollbackTransaction: (connection) =>
      through('kysely.rollback', 'rollback', async () => {
        await take(connection)?.rollback().execute()
      }),
    // A begin that was done but not answered: the server ends what the driver knows nothing of.
    async releaseConnection(connection) {
      await take(connection)?.rollback().execute()
    },
    async destroy() {},
  }

  return new Kysely<any>({
    dialect: {
      createAdapter: () => executor.adapter,
      createDriver: () => driver,
      createIntrospector: () => inner.introspection,
      createQueryCompiler: () => ({
        compileQuery: (node, queryId) =>
          executor.compileQuery(executor.transformQuery(node, queryId), queryId),
      }),
    },
  })
}

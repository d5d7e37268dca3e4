import {
  type CompiledQuery,
  type ControlledTransaction,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
} from 'kysely'

export type KyselyCall = 'kysely.begin' | 'kysely.query' | 'kysely.commit' | 'kysely.rollback'

type AroundKysely = <Value>(member: KyselyCall, sql: string, run: () => Promise<Value>) => Promise<Value>

/**
 * Returns a Kysely over another one. Each statement, begin, commit and rollback passes through `around`. Outside a
 * transaction each statement uses any connection of the inner Kysely.
 *
 * @param transactions receives a function for each open transaction, which rolls it back
 */
export function interceptKysely(
  inner: Kysely<any>,
  transactions: Set<() => Promise<void>>,
  around: AroundKysely,
): Kysely<any> {
  const executor = inner.getExecutor()
  const open = new WeakMap<DatabaseConnection, { trx: ControlledTransaction<any>; end: () => void }>()

  function removeTransaction(connection: DatabaseConnection): ControlledTransaction<any> | undefined {
    const entry = open.get(connection)
    open.delete(connection)
    entry?.end()
    return entry?.trx
  }

  function getKysely(connection: DatabaseConnection): Kysely<any> {
    return open.get(connection)?.trx ?? inner
  }

  const driver: Driver = {
    async init() {},
    async acquireConnection() {
      const connection: DatabaseConnection = {
        executeQuery: <R>(query: CompiledQuery): Promise<QueryResult<R>> =>
          around('kysely.query', query.sql, () =>
            getKysely(connection).executeQuery<R>(query as CompiledQuery<R>),
          ),
        streamQuery: <R>(query: CompiledQuery, size?: number) =>
          getKysely(connection)
            .getExecutor()
            .stream<R>(query as CompiledQuery<R>, size ?? 1),
      }
      return connection
    },
    beginTransaction: (connection, { accessMode, isolationLevel }) =>
      around('kysely.begin', 'begin', async () => {
        let builder = inner.startTransaction()
        if (isolationLevel !== undefined) builder = builder.setIsolationLevel(isolationLevel)
        if (accessMode !== undefined) builder = builder.setAccessMode(accessMode)
        const trx = await builder.execute()
        const rollback = async (): Promise<void> => {
          await removeTransaction(connection)?.rollback().execute()
        }
        transactions.add(rollback)
        open.set(connection, { trx, end: () => transactions.delete(rollback) })
      }),
    commitTransaction: (connection) =>
      around('kysely.commit', 'commit', async () => {
        await removeTransaction(connection)?.commit().execute()
      }),
    // After a commit whose reply was lost no transaction is left.
    rollbackTransaction: (connection) =>
      around('kysely.rollback', 'rollback', async () => {
        await removeTransaction(connection)?.rollback().execute()
      }),
    // A begin whose reply was lost: the driver does not know of the transaction, so it is ended here.
    async releaseConnection(connection) {
      await removeTransaction(connection)?.rollback().execute()
    },
    destroy: () => inner.destroy(),
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

import type { CompiledQuery, ControlledTransaction, DatabaseConnection, Driver, Kysely } from 'kysely'
import { TenancyError } from '../../errors.ts'
import { deriveKysely } from '../../util/derive-kysely.ts'
import { findProblem, readHead, type StatementPlace } from './rules.ts'
import {
  type DroppedTable,
  describeReferences,
  losesRows,
  readTableChange,
  trackForeignKeys,
} from './table-rebuilds.ts'

/** Where `up` runs. */
type UpPlace = Omit<StatementPlace, 'source'>

/**
 * The database that `up` gets. It refuses what cannot have its effect there, and what would delete rows of tables that
 * reference a rebuilt one. Inside the transaction of the migration a transaction of `up`'s own is a savepoint.
 *
 * @param kysely the provider's
 * @param base a transaction or a connection of `kysely`
 */
export function createUpDatabase(kysely: Kysely<any>, base: Kysely<any>, place: UpPlace): Kysely<any> {
  const transactions = new WeakMap<DatabaseConnection, ControlledTransaction<any>>()
  const check = createStatementCheck(base, place)
  let depth = 0

  function createConnection(): DatabaseConnection {
    const connection: DatabaseConnection = {
      async executeQuery(query: CompiledQuery<any>) {
        await check(query.sql)
        return (transactions.get(connection) ?? base).executeQuery(query)
      },
      async *streamQuery(query: CompiledQuery<any>, chunkSize = 1) {
        await check(query.sql)
        yield* (transactions.get(connection) ?? base).getExecutor().stream(query, chunkSize)
      },
    }
    return connection
  }

  const run = async (sql: string): Promise<void> => {
    await base.executeQuery(compile(sql))
  }
  const savepoints: Pick<Driver, 'beginTransaction' | 'commitTransaction' | 'rollbackTransaction'> = {
    beginTransaction: () => run(`SAVEPOINT tenantry_${++depth}`),
    commitTransaction: () => run(`RELEASE SAVEPOINT tenantry_${depth--}`),
    async rollbackTransaction() {
      await run(`ROLLBACK TO SAVEPOINT tenantry_${depth}`)
      await run(`RELEASE SAVEPOINT tenantry_${depth--}`)
    },
  }
  const own: typeof savepoints = {
    async beginTransaction(connection, { accessMode, isolationLevel }) {
      let builder = base.startTransaction()
      if (isolationLevel !== undefined) builder = builder.setIsolationLevel(isolationLevel)
      if (accessMode !== undefined) builder = builder.setAccessMode(accessMode)
      transactions.set(connection, await builder.execute())
    },
    async commitTransaction(connection) {
      await transactions.get(connection)?.commit().execute()
      transactions.delete(connection)
    },
    async rollbackTransaction(connection) {
      await transactions.get(connection)?.rollback().execute()
      transactions.delete(connection)
    },
  }
  return deriveKysely(
    kysely,
    {
      async init() {},
      acquireConnection: async () => createConnection(),
      ...(base.isTransaction ? savepoints : own),
      async releaseConnection() {},
      async destroy() {},
    },
    () => base.introspection,
  )
}

/** @returns a function that throws `statement_refused` for a statement that must not run */
function createStatementCheck(base: Kysely<any>, place: UpPlace): (sql: string) => Promise<void> {
  const dropped = new Map<string, DroppedTable>()

  async function readReferences(name: string): Promise<DroppedTable | undefined> {
    const { rows } = await base.executeQuery<{ sql: string }>(
      compile("SELECT sql FROM sqlite_master WHERE type = 'table'"),
    )
    const [table] = trackForeignKeys(rows.map(({ sql }) => sql)).apply([
      `DROP TABLE "${name.replaceAll('"', '""')}"`,
    ])
    return table && losesRows(table) ? table : undefined
  }

  return async (sql) => {
    const head = readHead(sql, place.dialect)
    const problem = findProblem(head, { ...place, source: 'code' })
    if (problem !== undefined) throw refused(`${head.slice(0, 60)}: ${problem}`)
    const change = place.dialect === 'sqlite' ? readTableChange(sql) : undefined
    if (change?.kind === 'drop') {
      const table = await readReferences(change.table)
      if (table === undefined) return
      if (place.scope !== 'transaction') throw refused(describeLoss(table))
      dropped.set(change.table.toLowerCase(), table)
    } else if (change !== undefined && change.kind !== 'alter') {
      const name = change.kind === 'rename' ? change.newName : change.table
      const lost = dropped.get(name.toLowerCase())
      if (lost !== undefined) throw refused(describeLoss(lost))
    }
  }
}

function describeLoss(dropped: DroppedTable): string {
  return `DROP TABLE "${dropped.table}" deletes rows of ${describeReferences(dropped)}; write this migration as .sql text`
}

function refused(message: string): TenancyError {
  return new TenancyError('statement_refused', message)
}

/** As `CompiledQuery.raw`, which would load Kysely. */
function compile<Row>(sql: string): CompiledQuery<Row> {
  const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] } as const
  return { query, sql, parameters: [], queryId: { queryId: 'tenantry' } } as CompiledQuery<Row>
}

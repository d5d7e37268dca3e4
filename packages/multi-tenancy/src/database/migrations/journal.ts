import type { Dialect, Row, SqlValue, Statement, TenantProvider } from '../../types/provider.ts'
import { IDENTITY_TABLE, LOCK_TABLE, MIGRATIONS_TABLE, TEXT_KEY } from '../../util/dialect.ts'

/** What the runner needs of a provider. */
export type MigrationProvider<Client> = Pick<
  TenantProvider<Client>,
  | 'capabilities'
  | 'migrationSql'
  | 'query'
  | 'batch'
  | 'batchWithoutForeignKeys'
  | 'beforeMigrate'
  | 'kysely'
  | 'mapError'
>

/** One migration that was begun. */
export interface JournalRow {
  readonly name: string
  readonly checksum: string | null
  /**
   * `paused`: exactly `statement` statements are done and none is in flight, so it can go on.
   * `started`: the next one may be done or not. `failed`: the next one was refused. `done`: all are.
   */
  readonly state: 'paused' | 'started' | 'failed' | 'done'
  /** How many statements are known to be done. */
  readonly statement: number
  /** The run that wrote it: distinguishes a lost reply from another runner's work. */
  readonly attempt: string
}

/** The journal and the lock, read together. */
export interface Journal {
  readonly rows: ReadonlyMap<string, JournalRow>
  readonly owner: string
  /** How many ms its lease still has; none when the lock is free. */
  readonly lease: number
}

/** Who reads, and the time as SQL, in epoch ms. */
export interface JournalReader<Client> {
  readonly provider: MigrationProvider<Client>
  readonly client: Client
  readonly clock: () => string | number
}

/** Who writes: the run's mark, and SQL in its dialect. */
export interface Writer {
  readonly attempt: string
  readonly sql: (sql: string, ...params: SqlValue[]) => Statement
}

/** The journal is last: nothing can be read without it, so after a crash in between all are created again. */
export function createStatements(dialect: Dialect): Statement[] {
  const key = `${TEXT_KEY[dialect]} NOT NULL`
  return [
    `CREATE TABLE IF NOT EXISTS ${LOCK_TABLE} ` +
      `(slot INTEGER NOT NULL PRIMARY KEY CHECK (slot = 1), owner ${key}, expires_at BIGINT NOT NULL)`,
    `INSERT ${dialect === 'mysql' ? 'IGNORE ' : ''}INTO ${LOCK_TABLE} VALUES (1, '', 0)${dialect === 'mysql' ? '' : ' ON CONFLICT DO NOTHING'}`,
    `CREATE TABLE IF NOT EXISTS ${MIGRATIONS_TABLE} (name ${key} PRIMARY KEY, checksum ${TEXT_KEY[dialect]}, ` +
      `state ${key}, statement INTEGER NOT NULL, attempt ${key}, applied_at BIGINT NOT NULL)`,
  ].map((sql) => ({ sql }))
}

/**
 * Reads journal and lock in one query. Where that fails, the tables are created and the query runs once more, so the
 * server's own catalogue is never queried.
 */
export async function readJournal<Client>({
  provider: { capabilities, query, batch, mapError },
  client,
  clock,
}: JournalReader<Client>): Promise<Journal> {
  const read = (): Promise<Row[]> =>
    query(client, {
      sql:
        `SELECT owner, expires_at, ${clock()} AS clock, m.* ` +
        `FROM ${LOCK_TABLE} LEFT JOIN ${MIGRATIONS_TABLE} m ON 1 = 1`,
    })
  let rows = await read().catch((cause): Row[] => {
    if (mapError(cause).retryable) throw cause
    return []
  })
  if (rows.length === 0) {
    let refusal: unknown
    await batch(client, createStatements(capabilities.dialect)).catch((cause) => {
      // PostgreSQL refuses one of two that run concurrently, although both say IF NOT EXISTS. The tables exist then.
      refusal = cause
    })
    rows = await read().catch((cause) => {
      throw refusal ?? cause
    })
  }
  const journal = new Map<string, JournalRow>()
  for (const row of rows as unknown as JournalRow[]) {
    // Some drivers read integers as text.
    if (row.name !== null) journal.set(row.name, { ...row, statement: Number(row.statement) })
  }
  const { owner, expires_at: end, clock: time } = rows[0] ?? {}
  return { rows: journal, owner: String(owner), lease: Number(end) - Number(time) }
}

/** A new row. The primary key is the fence: of two runners only one gets past it. */
export function insertRow({ sql }: Writer, row: JournalRow, at: number): Statement {
  const { name, checksum, state, statement, attempt } = row
  return sql(
    // The columns as `createStatements` has them.
    `INSERT INTO ${MIGRATIONS_TABLE} VALUES (?, ?, ?, ?, ?, ?)`,
    name,
    checksum,
    state,
    statement,
    attempt,
    at,
  )
}

/**
 * Claims a row for this run if it is still as it was read. Otherwise, like every fenced statement, it *fails* on NOT
 * NULL: the dialects share no way to report how many rows were changed, and a failure also ends a batch.
 */
export function claimRow({ sql, attempt }: Writer, row: JournalRow, checksum: string | null): Statement {
  return sql(
    `UPDATE ${MIGRATIONS_TABLE} SET attempt = CASE WHEN attempt = ? AND state = ? AND statement = ? THEN ? END, ` +
      'checksum = ? WHERE name = ?',
    row.attempt,
    row.state,
    row.statement,
    attempt,
    checksum,
    row.name,
  )
}

/** Writes into a row that must be this run's. The value is SQL: a placeholder inside CASE has no type. */
export function writeRow(
  { sql, attempt }: Writer,
  name: string,
  value: JournalRow['state'] | number,
): Statement {
  const [column, literal] = typeof value === 'number' ? ['statement', value] : ['state', `'${value}'`]
  return sql(
    `UPDATE ${MIGRATIONS_TABLE} SET ${column} = CASE WHEN attempt = ? THEN ${literal} END WHERE name = ?`,
    attempt,
    name,
  )
}

/** Flags the database as dirty with a migration. */
export function flagDirty(writer: Writer, name: string): Statement {
  return writeDirtyFlag(writer, name, name)
}

export function clearDirty(writer: Writer, name: string): Statement {
  return writeDirtyFlag(writer, name, null)
}

/** Writes only while the row of the migration is this run's: a runner that was overtaken changes no other's flag. */
function writeDirtyFlag({ sql, attempt }: Writer, name: string, flag: string | null): Statement {
  return sql(
    `UPDATE ${IDENTITY_TABLE} SET dirty = ? WHERE slot = 1 AND ` +
      `EXISTS (SELECT 1 FROM ${MIGRATIONS_TABLE} WHERE name = ? AND attempt = ?)`,
    flag,
    name,
    attempt,
  )
}

/** The row of a migration that is begun or done by this run. */
export function createRow(
  { attempt }: Writer,
  {
    name,
    checksum,
    total,
  }: { readonly name: string; readonly checksum: string | null; readonly total: number },
  state: 'done' | 'paused',
): JournalRow {
  return { name, checksum, state, statement: state === 'done' ? total : 0, attempt }
}

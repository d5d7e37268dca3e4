import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
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
import { stampStatements } from '../../src/database/identity.ts'
import { defineMigrations, type MigrationSource } from '../../src/database/migrations/define.ts'
import type { JournalRow, MigrationProvider } from '../../src/database/migrations/journal.ts'
import type { MigrateOptions } from '../../src/database/migrations/lock.ts'
import { TenancyError } from '../../src/errors.ts'
import { sqliteMigrationSql } from '../../src/provider-kit/migration-sql/migration-sql.ts'
import type { TenantId } from '../../src/tenant-id.ts'
import type { Capabilities, Row, SqlValue, Statement } from '../../src/types/provider.ts'
import { LOCK_TABLE } from '../../src/util/dialect.ts'

/** As D1 and libSQL: a batch is a transaction, and DDL belongs to it. */
export const ATOMIC: Capabilities = { dialect: 'sqlite', transactions: true, transactionalDdl: true }
/** As MySQL: a batch is one statement after the other. */
export const JOURNALED: Capabilities = { dialect: 'sqlite', transactions: true, transactionalDdl: false }
/** As D1: no interactive transaction. */
export const BATCH_ONLY: Capabilities = { dialect: 'sqlite', transactions: false, transactionalDdl: true }

/** Stands around every single statement, `begin` and `commit` included; what it throws, the statement throws. */
export type Around = (run: () => Row[], sql: string) => Promise<Row[]>

export interface Calls {
  query: number
  batch: number
  transaction: number
}

export interface Handle {
  readonly db: DatabaseSync
  readonly provider: MigrationProvider<DatabaseSync>
  readonly calls: Calls
}

/** An outage: the statement was not, or may have been, run. */
export class Unreachable extends Error {}

/** A migrating provider over one connection. */
export function openHandle(
  location: string,
  capabilities: Capabilities,
  around: Around = async (run) => run(),
): Handle {
  const db = new DatabaseSync(location, { timeout: 0 })
  db.exec('PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY')
  const calls: Calls = { query: 0, batch: 0, transaction: 0 }
  const execute = ({ sql, params = [] }: Statement): Promise<Row[]> =>
    around(() => {
      const prepared = db.prepare(sql)
      return prepared.all(...(params as SQLInputValue[])) as Row[]
    }, sql)

  async function transaction(work: () => Promise<void>): Promise<void> {
    try {
      await execute({ sql: 'BEGIN IMMEDIATE' })
      await work()
      await execute({ sql: 'COMMIT' })
    } catch (cause) {
      if (db.isOpen && db.isTransaction) db.exec('ROLLBACK')
      throw cause
    }
  }

  const provider: MigrationProvider<DatabaseSync> = {
    capabilities,
    migrationSql: sqliteMigrationSql,
    async query(_, one) {
      calls.query++
      return execute(one)
    },
    async batch(_, statements) {
      calls.batch++
      const all = async (): Promise<void> => {
        for (const one of statements) await execute(one)
      }
      await (capabilities.transactionalDdl ? transaction(all) : all())
    },
    kysely: () => kyselyOver(db, execute, () => calls.transaction++),
    mapError(cause) {
      if (cause instanceof TenancyError) return cause
      const message = cause instanceof Error ? cause.message : String(cause)
      if (cause instanceof Unreachable || /database is locked/.test(message))
        return new TenancyError('provider_unavailable', message, { cause })
      const refused = (cause as { code?: string }).code === 'ERR_SQLITE_ERROR'
      return new TenancyError(refused ? 'provider_rejected' : 'internal', message, { cause })
    },
  }
  return { db, provider, calls }
}

function kyselyOver(
  db: DatabaseSync,
  execute: (statement: Statement) => Promise<Row[]>,
  onTransaction: () => void,
): Kysely<any> {
  const connection: DatabaseConnection = {
    async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
      return { rows: (await execute({ sql, params: parameters as SqlValue[] })) as R[] }
    },
    streamQuery() {
      throw new Error('not needed')
    },
  }
  const driver: Driver = {
    async init() {},
    async acquireConnection() {
      return connection
    },
    async beginTransaction() {
      onTransaction()
      await execute({ sql: 'BEGIN IMMEDIATE' })
    },
    async commitTransaction() {
      await execute({ sql: 'COMMIT' })
    },
    async rollbackTransaction() {
      if (db.isOpen && db.isTransaction) db.exec('ROLLBACK')
    },
    async releaseConnection() {},
    async destroy() {},
  }
  return new Kysely<any>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => driver,
      createIntrospector: (kysely) => new SqliteIntrospector(kysely),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
}

/** Gives a database the identity stamp it has before the first migration. */
export function stamp(db: DatabaseSync): void {
  for (const { sql, params = [] } of stampStatements('sqlite', {
    tenantId: 'acme' as TenantId,
    generation: 1,
    uid: 'uid',
  }))
    db.prepare(sql).run(...(params as SQLInputValue[]))
}

/** A stamped database in memory. */
export function memory(capabilities: Capabilities = ATOMIC, around?: Around): Handle {
  const handle = openHandle(':memory:', capabilities, around)
  stamp(handle.db)
  return handle
}

/** A clock that only sleeping moves. */
export function createClock(start = 1_000_000): {
  now: () => number
  sleep: (ms: number) => Promise<void>
  time: number
} {
  const clock = {
    time: start,
    now: () => clock.time,
    async sleep(ms: number) {
      clock.time += ms
    },
  }
  return clock
}

export function createOptions(
  { provider, db }: Pick<Handle, 'provider' | 'db'>,
  source: MigrationSource,
  more: Partial<MigrateOptions<DatabaseSync>> = {},
): MigrateOptions<DatabaseSync> {
  return {
    provider,
    client: db,
    migrations: defineMigrations(source),
    tenantId: 'acme',
    ...createClock(),
    ...more,
  }
}

/** The oracle: reads around the provider. */
export function readJournal(db: DatabaseSync): JournalRow[] {
  const rows = db.prepare(
    'SELECT name, checksum, state, statement, attempt FROM tenantry_migrations ORDER BY name',
  )
  return rows.all() as unknown as JournalRow[]
}

export function readDirty(db: DatabaseSync): unknown {
  return db.prepare('SELECT dirty FROM tenantry_identity').get()?.dirty
}

export function readLock(db: DatabaseSync): Row | undefined {
  return db.prepare(`SELECT owner, expires_at FROM ${LOCK_TABLE}`).get()
}

/** What migrations that log themselves have done, in order. */
export function readEffects(db: DatabaseSync): string[] {
  const tables = db.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name = 'effects'").get()
  if (tables?.n === 0) return []
  return db
    .prepare('SELECT what FROM effects ORDER BY rowid')
    .all()
    .map((row) => String(row.what))
}

export const EFFECTS = 'CREATE TABLE effects (what TEXT NOT NULL)'
export const effect = (what: string): string => `INSERT INTO effects VALUES ('${what}')`

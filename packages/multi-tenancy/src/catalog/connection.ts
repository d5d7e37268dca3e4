import { CompiledQuery, type Kysely } from 'kysely'
import { assertOwner, readStamp, stampStatements, stampStateStatement } from '../database/identity.ts'
import {
  defineMigrations,
  type MigrationProvider,
  migrate,
  repairMigration,
} from '../database/migrations/index.ts'
import { TenancyError } from '../errors.ts'
import {
  mysqlMigrationSql,
  postgresMigrationSql,
  sqliteMigrationSql,
} from '../provider-kit/migration-sql/migration-sql.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Dialect, Row, Statement } from '../types/provider.ts'
import { type CatalogTables, catalogMigrations } from './schema.ts'

/** The catalog's own database, as an app gives it. */
export interface CatalogDatabase {
  /** A Kysely of the database; the tables in it start with `tenantry_`. The app closes it. */
  readonly db: Kysely<any>
  readonly dialect: Dialect
  /**
   * Whether `db.transaction()` works. Only the catalog's own migrations use it; D1 has none.
   *
   * @default true
   */
  readonly transactions?: boolean
}

const MIGRATION_SQL = { sqlite: sqliteMigrationSql, postgres: postgresMigrationSql, mysql: mysqlMigrationSql }

/** The tenant id in the stamp of the catalog's database; the grammar of tenant ids does not allow it. */
const STAMP_ID = 'tenantry--catalog' as TenantId

/**
 * The catalog's tables, created and migrated before their first use. A stamp identifies the database: a tenant database
 * is never used as the catalog, nor the catalog as a tenant database.
 */
export function openCatalogDatabase({ db, dialect, transactions = true }: CatalogDatabase): {
  /** The database, ready. One query per process and isolate once the tables are there. */
  ready(): Promise<Kysely<CatalogTables>>
} {
  const migrations = defineMigrations(catalogMigrations(dialect))
  const query = async (client: Kysely<any>, statement: Statement): Promise<Row[]> =>
    (await client.executeQuery<Row>(compiled(statement))).rows
  const each = async (client: Kysely<any>, statements: readonly Statement[]): Promise<void> => {
    for (const statement of statements) await client.executeQuery(compiled(statement))
  }
  const provider: MigrationProvider<Kysely<any>> = {
    capabilities: { dialect, transactions, transactionalDdl: transactions && dialect !== 'mysql' },
    migrationSql: MIGRATION_SQL[dialect],
    query,
    batch: (client, statements) =>
      transactions && dialect !== 'mysql'
        ? client.transaction().execute((transaction) => each(transaction, statements))
        : client.connection().execute((connection) => each(connection, statements)),
    kysely: (client) => client,
    mapError: catalogError,
  }
  const expected = { tenantId: STAMP_ID, generation: 1 }
  const readOwn = () => readStamp(dialect, (statement) => query(db, statement))

  async function prepare(): Promise<void> {
    let stamp = await readOwn()
    if (stamp === undefined) {
      // A concurrent process may do the same: the first row stands, and is read again.
      const identity = { ...expected, uid: crypto.randomUUID() }
      const failure = await provider.batch(db, stampStatements(dialect, identity)).catch((error) => error)
      stamp = await readOwn()
      if (stamp === undefined) throw failure
    }
    // Before anything else is written: a tenant's stamp is not the catalog's to move.
    assertOwner(stamp, expected)
    if (stamp.state !== 'ready') await query(db, stampStateStatement(dialect, stamp.uid, 'ready'))
    const options = { provider, client: db, migrations, tenantId: STAMP_ID }
    await migrate(options).catch(async (cause: unknown) => {
      const { code, step: name } = catalogError(cause)
      if (code !== 'migration_dirty' || name === undefined) throw cause
      // The process that ran it has crashed. Each statement of the catalog's migrations may run again.
      await repairMigration({ ...options, name, statement: 0 }).catch((failure: unknown) => {
        // Another process was faster.
        if (catalogError(failure).code !== 'conflict') throw failure
      })
      await migrate(options)
    })
  }

  let done = false
  let running: Promise<void> | undefined
  const shared = globalThis.navigator?.userAgent !== 'Cloudflare-Workers'
  return {
    async ready() {
      if (!done) {
        try {
          // On Workers no request may wait for another's promise.
          if (shared) {
            running ??= prepare()
            await running
          } else await prepare()
          done = true
        } catch (cause) {
          throw catalogError(cause)
        } finally {
          running = undefined
        }
      }
      return db
    },
  }
}

// Connections lost or refused, locks and deadlocks, by the codes of Node, SQLite, PostgreSQL and MySQL.
const PASSING =
  /^(E(CONN|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|AI_AGAIN|NOTFOUND).*|SQLITE_(BUSY|LOCKED).*|08...|57P0.|53300|40001|40P01|55P03|PROTOCOL_.*|ER_(LOCK|CON_COUNT|SERVER_SHUTDOWN).*)$/

/** The coded error for an error of the catalog's driver. */
export function catalogError(cause: unknown): TenancyError {
  if (cause instanceof TenancyError) return cause
  const { code, message = '' } = (cause ?? {}) as { code?: unknown; message?: string }
  const passing =
    PASSING.test(String(code)) || /database is (locked|busy)|connection|timed? ?out/i.test(message)
  if (!passing)
    return new TenancyError('provider_rejected', 'The catalog database rejected a statement (see cause)', {
      cause,
    })
  return new TenancyError('provider_unavailable', 'The catalog database does not answer', {
    cause,
    retryAfter: 1,
  })
}

function compiled({ sql, params = [] }: Statement): CompiledQuery {
  return CompiledQuery.raw(sql, [...params])
}

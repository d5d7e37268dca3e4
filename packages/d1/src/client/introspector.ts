import { type DatabaseIntrospector, type Kysely, sql, type TableMetadata } from 'kysely'

/** The tables of Kysely's Migrator. Kysely 0.28 and 0.29 export the names from different entries. */
const MIGRATOR_TABLES = ['kysely_migration', 'kysely_migration_lock']

interface Column {
  readonly table: string
  readonly type: 'table' | 'view'
  readonly text: string | null
  readonly name: string
  readonly data_type: string
  readonly not_null: number
  readonly default_value: unknown
  readonly pk: number
}

/**
 * Lists the tables. Not Kysely's introspector for SQLite, which reads the columns of every table: D1 rejects that for
 * its internal tables (`_cf_…`).
 */
export function createIntrospector(db: Kysely<any>): DatabaseIntrospector {
  const getTables: DatabaseIntrospector['getTables'] = async (options) => {
    const { rows } = await sql<Column>`
      SELECT t.name AS "table", t.type AS type, t.sql AS text, c.name AS name, c.type AS data_type,
        c."notnull" AS not_null, c.dflt_value AS default_value, c.pk AS pk
      FROM (
        SELECT name, type, sql FROM sqlite_master
        WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '_cf_*'
      ) AS t, pragma_table_info(t.name) AS c
      ORDER BY t.name, c.cid`.execute(db)
    const tables = Map.groupBy(rows, ({ table }) => table)
    if (!options?.withInternalKyselyTables) for (const table of MIGRATOR_TABLES) tables.delete(table)
    return [...tables].map(([name, columns]) => toTableMetadata(name, columns))
  }
  const introspector = {
    getSchemas: async () => [],
    getTables,
    // Kysely 0.28 calls it.
    getMetadata: async (options?: Parameters<typeof getTables>[0]) => ({ tables: await getTables(options) }),
  }
  return introspector
}

function toTableMetadata(name: string, columns: readonly Column[]): TableMetadata {
  const keys = columns.filter(({ pk }) => pk > 0)
  // A single INTEGER PRIMARY KEY column is the rowid: https://www.sqlite.org/autoinc.html
  const rowid = keys.length === 1 && keys[0]?.data_type.toLowerCase() === 'integer' ? keys[0].name : undefined
  return {
    name,
    isView: columns[0]?.type === 'view',
    isForeign: false,
    columns: columns.map((column) => ({
      name: column.name,
      dataType: column.data_type,
      isNullable: column.not_null === 0,
      isAutoIncrementing: column.name === rowid,
      hasDefaultValue: column.default_value !== null,
    })),
  }
}

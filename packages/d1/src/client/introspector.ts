import { type DatabaseIntrospector, type Kysely, sql, type TableMetadata } from 'kysely'

/** Kysely's own migrations keep these; 0.28 and 0.29 export their names from different places. */
const OWN_TABLES = ['kysely_migration', 'kysely_migration_lock']

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
 * What tables there are. Kysely's own for SQLite asks for the columns of every table, and D1 refuses that for those
 * it keeps for itself (`_cf_…`).
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
    if (!options?.withInternalKyselyTables) for (const own of OWN_TABLES) tables.delete(own)
    return [...tables].map(([name, columns]) => tableOf(name, columns))
  }
  const introspector = {
    getSchemas: async () => [],
    getTables,
    // In Kysely 0.28.
    getMetadata: async (options?: Parameters<typeof getTables>[0]) => ({ tables: await getTables(options) }),
  }
  return introspector
}

function tableOf(name: string, columns: readonly Column[]): TableMetadata {
  const keys = columns.filter(({ pk }) => pk > 0)
  // The one INTEGER PRIMARY KEY is the rowid: https://www.sqlite.org/autoinc.html
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

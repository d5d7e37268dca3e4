import type { DurableObjectContext, SqlCell } from 'cloudflare:workers'

type Sql = DurableObjectContext['storage']['sql']

/** An integer travels as text: as a JavaScript number it would lose digits. */
type SnapshotCell = Exclude<SqlCell, number> | { readonly integer: string } | { readonly real: number }

interface SnapshotTable {
  readonly name: string
  readonly columns: string[]
  readonly rows: SnapshotCell[][]
}

/** Everything a user put into a database. */
export interface Snapshot {
  readonly schema: { readonly type: string; readonly name: string; readonly sql: string }[]
  readonly tables: SnapshotTable[]
}

/** Matches the engine's own tables, which a snapshot leaves out. */
const own = /^(?:_cf_|sqlite_(?!sequence$))/

/** Quotes a name for SQL. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** The user's tables, in the order of their creation, without generated columns. */
export function userTables(sql: Sql): { name: string; columns: string[] }[] {
  const names = sql.exec("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid")
  return Array.from(names.raw(), ([name]) => String(name))
    .filter((name) => !own.test(name))
    .map((name) => ({
      name,
      columns: Array.from(sql.exec(`PRAGMA table_info(${quoteName(name)})`).raw(), (row) => String(row[1])),
    }))
}

/** The user's schema: tables first, then what depends on them. */
export function userSchema(sql: Sql): Snapshot['schema'] {
  const rows = sql.exec(
    `SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL
     ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid`,
  )
  return Array.from(rows.raw(), ([type, name, text]) => ({
    type: String(type),
    name: String(name),
    sql: String(text),
  })).filter(({ name }) => !own.test(name) && name !== 'sqlite_sequence')
}

/**
 * Copies a database.
 *
 * @throws Error for a virtual table, which can be copied no more than exported
 */
export function takeSnapshot(sql: Sql): Snapshot {
  const schema = userSchema(sql)
  if (schema.some((entry) => /^CREATE VIRTUAL TABLE/i.test(entry.sql))) {
    throw new Error('the emulator keeps no history of a database with virtual tables')
  }
  const tables = userTables(sql).map(({ name, columns }) => {
    const cells = columns.map((column) => {
      const at = quoteName(column)
      return `typeof(${at}), CASE typeof(${at}) WHEN 'integer' THEN CAST(${at} AS TEXT) ELSE ${at} END`
    })
    const rows = sql.exec(`SELECT ${cells.join(', ')} FROM ${quoteName(name)}`)
    return { name, columns, rows: Array.from(rows.raw(), readCells) }
  })
  return { schema, tables }
}

/** Puts a copy in place of everything there is; for use inside a transaction. */
export function restoreSnapshot(sql: Sql, snapshot: Snapshot): void {
  sql.exec('PRAGMA defer_foreign_keys = ON')
  const present = userSchema(sql)
  for (const type of ['trigger', 'view', 'table']) {
    for (const entry of present.filter((candidate) => candidate.type === type)) {
      sql.exec(`DROP ${type} IF EXISTS ${quoteName(entry.name)}`)
    }
  }
  const create = (wanted: (type: string) => boolean): void => {
    for (const entry of snapshot.schema) if (wanted(entry.type)) sql.exec(entry.sql)
  }
  create((type) => type === 'table')
  for (const table of snapshot.tables) restoreRows(sql, table)
  // Triggers last: they must not run while rows are put back.
  create((type) => type !== 'table')
}

function restoreRows(sql: Sql, { name, columns, rows }: SnapshotTable): void {
  if (name === 'sqlite_sequence') sql.exec('DELETE FROM sqlite_sequence')
  const into = `INSERT INTO ${quoteName(name)} (${columns.map(quoteName).join(', ')})`
  for (const row of rows) {
    const places = row.map((cell) =>
      cell === null || typeof cell !== 'object' || cell instanceof ArrayBuffer || 'real' in cell
        ? '?'
        : 'CAST(? AS INTEGER)',
    )
    const values = row.map((cell) => {
      if (cell === null || typeof cell !== 'object' || cell instanceof ArrayBuffer) return cell
      return 'real' in cell ? cell.real : cell.integer
    })
    sql.exec(`${into} VALUES (${places.join(', ')})`, ...values)
  }
}

/** A row of types and values in turn. */
function readCells(row: SqlCell[]): SnapshotCell[] {
  return Array.from({ length: row.length / 2 }, (_, index) => {
    const value = row[index * 2 + 1] ?? null
    const type = row[index * 2]
    if (type === 'integer') return { integer: String(value) }
    return typeof value === 'number' ? { real: value } : value
  })
}

import type { Capabilities, Row, SqlValue, Statement } from '@tenantry/multi-tenancy/provider'
import type { Kysely } from 'kysely'

type Dialect = Capabilities['dialect']

/** Turns the `?` placeholders of a statement into those of the dialect. The text must contain no other `?`. */
export function statement(dialect: Dialect, sql: string, ...params: SqlValue[]): Statement {
  let index = 0
  return { sql: dialect === 'postgres' ? sql.replace(/\?/g, () => `$${++index}`) : sql, params }
}

/** Creates the table of most cases, in SQL that every dialect accepts. */
export const CREATE_NOTES = 'CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, body VARCHAR(255) NOT NULL)'

/** The migration that creates this table. */
export const NOTES: Readonly<Record<string, string>> = { '0001_notes': CREATE_NOTES }

/** Returns the statement that writes one note. */
export function insertNote(dialect: Dialect, id: number, body: string): Statement {
  return statement(dialect, 'INSERT INTO notes (id, body) VALUES (?, ?)', id, body)
}

export const SELECT_NOTES = 'SELECT id, body FROM notes ORDER BY id'

/** Returns the texts of notes, which drivers return as different types. */
export function toBodies(rows: readonly Row[]): string[] {
  return rows.map((row) => String(row.body))
}

export async function writeNote(db: Kysely<any>, id: number, body: string): Promise<void> {
  await db.insertInto('notes').values({ id, body }).execute()
}

export async function readNotes(db: Kysely<any>): Promise<string[]> {
  return toBodies(await db.selectFrom('notes').select(['id', 'body']).orderBy('id').execute())
}

/** The column types of each dialect. `asText` is the type to which a cast turns a large integer into text. */
export const TYPES: Readonly<Record<Dialect, { text: string; blob: string; asText: string; real: string }>> =
  {
    sqlite: { text: 'TEXT', blob: 'BLOB', asText: 'TEXT', real: 'REAL' },
    postgres: { text: 'TEXT', blob: 'BYTEA', asText: 'TEXT', real: 'DOUBLE PRECISION' },
    mysql: { text: 'TEXT', blob: 'LONGBLOB', asText: 'CHAR', real: 'DOUBLE' },
  }

/** Returns the statement that counts the tables of that name. */
export function countTables(dialect: Dialect, table: string): string {
  return {
    sqlite: `SELECT count(*) AS tables FROM sqlite_master WHERE type = 'table' AND name = '${table}'`,
    postgres: `SELECT count(*) AS tables FROM pg_catalog.pg_class WHERE relkind = 'r' AND relname = '${table}' AND relnamespace = to_regnamespace(quote_ident(current_schema()))`,
    mysql: `SELECT count(*) AS tables FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '${table}'`,
  }[dialect]
}

import type { Capabilities } from '@tenantry/multi-tenancy/provider'
import { type Kysely, sql } from 'kysely'

type Dialect = Capabilities['dialect']

/** SQL that changes the state of a session; each list runs on one connection. */
export const SESSION_LEFTOVERS: Readonly<Record<Dialect, readonly (readonly string[])[]>> = {
  sqlite: [
    [
      'CREATE TEMP TABLE notes (id INTEGER, body TEXT)',
      "INSERT INTO temp.notes (id, body) VALUES (1, 'leaked')",
    ],
    ['PRAGMA query_only = 1'],
    ['PRAGMA foreign_keys = OFF'],
    ['BEGIN', "INSERT INTO notes (id, body) VALUES (90, 'leaked')"],
  ],
  postgres: [
    [
      'CREATE TEMP TABLE notes (id INTEGER, body TEXT)',
      "INSERT INTO pg_temp.notes (id, body) VALUES (1, 'leaked')",
    ],
    ['SET search_path TO public'],
    ['SET statement_timeout = 1'],
    ['SET default_transaction_read_only = on'],
    ['SET ROLE none'],
    ['SET SESSION AUTHORIZATION DEFAULT'],
    ["SET TimeZone = 'Asia/Tokyo'"],
    ['LISTEN leaked'],
    ['SELECT pg_advisory_lock(42)'],
    ['PREPARE leaked AS SELECT 1'],
    ['BEGIN', 'SELECT * FROM missing'],
    ['BEGIN', "INSERT INTO notes (id, body) VALUES (90, 'leaked')"],
  ],
  mysql: [
    [
      'CREATE TEMPORARY TABLE notes (id INTEGER, body TEXT)',
      "INSERT INTO notes (id, body) VALUES (1, 'leaked')",
    ],
    ['USE information_schema'],
    ['SET SESSION TRANSACTION READ ONLY'],
    ["SET SESSION sql_mode = ''", 'SET autocommit = 0'],
    ["SET @leaked = 'leaked'"],
    ["SELECT GET_LOCK('leaked', 0)"],
    ['START TRANSACTION', "INSERT INTO notes (id, body) VALUES (90, 'leaked')"],
  ],
}

/** SQL that leaves a transaction open at the end of a connection's use; each list runs on one connection. */
export const FORGOTTEN_TRANSACTIONS: Readonly<Record<Dialect, readonly (readonly string[])[]>> = {
  sqlite: [
    ['BEGIN'],
    ['BEGIN IMMEDIATE', "INSERT INTO notes (id, body) VALUES (91, 'never committed')"],
    ['SAVEPOINT forgotten', "INSERT INTO notes (id, body) VALUES (92, 'never committed')"],
  ],
  postgres: [
    ['BEGIN'],
    ['BEGIN', "INSERT INTO notes (id, body) VALUES (91, 'never committed')"],
    ['BEGIN', 'SELECT * FROM missing'],
  ],
  mysql: [
    ['BEGIN'],
    ['START TRANSACTION', "INSERT INTO notes (id, body) VALUES (91, 'never committed')"],
    ['SET autocommit = 0', "INSERT INTO notes (id, body) VALUES (92, 'never committed')"],
  ],
}

/**
 * Returns SQL with which a tenant tries to reach the database `victim`; each list runs on one connection.
 *
 * @param files the files of the tenant's own database, from whose paths an attacker derives the victim's
 */
export function listHostileSql(
  dialect: Dialect,
  victim: string,
  own: string,
  files: readonly string[],
): string[][] {
  const update = (table: string): string => `UPDATE ${table} SET body = 'overwritten'`
  if (dialect === 'sqlite') {
    return files
      .filter((file) => file.includes(own))
      .flatMap((file) => [file.replaceAll(own, victim), `file:${file.replaceAll(own, victim)}`])
      .map((path) => [
        `ATTACH DATABASE '${path}' AS victim`,
        'SELECT * FROM victim.notes',
        update('victim.notes'),
        'DROP TABLE victim.notes',
        'DETACH DATABASE victim',
      ])
  }
  const quoted = dialect === 'postgres' ? `"${victim}"` : `\`${victim}\``
  const table = `${quoted}.notes`
  const plain = [
    [`SELECT * FROM ${table}`],
    [update(table)],
    [`INSERT INTO ${table} (id, body) VALUES (99, 'inserted')`],
    [`DELETE FROM ${table}`],
    [`DROP TABLE ${table}`],
    [`ALTER TABLE ${table} ADD COLUMN hacked INTEGER`],
    [`CREATE TABLE ${quoted}.hacked (id INTEGER)`],
    [`CREATE VIEW stolen AS SELECT * FROM ${table}`, 'SELECT * FROM stolen'],
  ]
  if (dialect === 'mysql') {
    return [
      ...plain,
      [`USE ${quoted}`, 'SELECT * FROM notes', update('notes')],
      [`RENAME TABLE ${table} TO stolen`],
      [`GRANT ALL ON ${quoted}.* TO CURRENT_USER`],
      [`DROP DATABASE ${quoted}`],
    ]
  }
  const escapes = [
    'RESET ROLE',
    'SET ROLE NONE',
    'SET SESSION AUTHORIZATION DEFAULT',
    "SELECT set_config('role', 'none', false)",
  ]
  return [
    ...plain,
    ...escapes.map((way) => [way, `SELECT * FROM ${table}`, update(table)]),
    [`SET search_path TO ${quoted}`, 'SELECT * FROM notes', update('notes')],
    [`COPY ${table} TO STDOUT`],
    ["COPY (SELECT 1) TO PROGRAM 'true'"],
    [`GRANT USAGE ON SCHEMA ${quoted} TO CURRENT_USER`],
    [`ALTER SCHEMA ${quoted} RENAME TO stolen`],
    [`DROP SCHEMA ${quoted} CASCADE`],
  ]
}

/** Runs statements on one connection where the client has one, and continues after an error. */
export async function runStatements(
  db: Kysely<any>,
  statements: readonly string[],
): Promise<{ rows: unknown[]; errors: number }> {
  const rows: unknown[] = []
  let errors = 0
  const run = async (connection: Kysely<any>): Promise<void> => {
    for (const text of statements) {
      try {
        rows.push(...(await sql.raw(text).execute(connection)).rows)
      } catch {
        errors++
      }
    }
  }
  await db
    .connection()
    .execute(run)
    .catch(() => run(db))
  return { rows, errors }
}

/** Returns the files of a SQLite client's databases; empty where the client does not list them. */
export async function listDatabaseFiles(db: Kysely<any>): Promise<string[]> {
  const list = await sql<{ file: unknown }>`PRAGMA database_list`.execute(db).catch(() => ({ rows: [] }))
  return list.rows.map(({ file }) => String(file ?? '')).filter((file) => file !== '')
}

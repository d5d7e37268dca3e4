import type { Connection, Pool } from 'mysql2/promise'

/** A name that only this run uses: locks and XA transactions are visible on the whole server. */
export const LEFT: string = `tenantry_left_${crypto.randomUUID()}`

/** Statements after which a session differs from a new one. Each list runs in one lease. */
export const POLLUTERS: Readonly<Record<string, readonly string[]>> = {
  'a user variable': ["SET @left = 'leaked'"],
  'a user variable from a query': ["SELECT @left := 'leaked'"],
  'a user variable from a trigger': [
    "CREATE TRIGGER notes_left BEFORE INSERT ON notes FOR EACH ROW SET @left = 'leaked'",
    "INSERT INTO notes VALUES (7, 'seven')",
    'DELETE FROM notes WHERE id = 7',
    'DROP TRIGGER notes_left',
  ],
  'a named lock': [`SELECT GET_LOCK('${LEFT}', 0)`],
  'another database': ['USE information_schema'],
  'another database, from a prepared statement': ["PREPARE s FROM 'USE information_schema'", 'EXECUTE s'],
  'another database, in a comment that is executed': ['/*! USE information_schema */'],
  'a temporary table named like a real one': ["CREATE TEMPORARY TABLE notes AS SELECT 1 AS id, 'leaked' AS body"],
  'a prepared statement': ["PREPARE leaked FROM 'SELECT 1'"],
  'a table lock': ['LOCK TABLES notes WRITE'],
  'an open transaction': ['START TRANSACTION', "INSERT INTO notes VALUES (8, 'uncommitted')"],
  'a failed transaction': ['BEGIN', "INSERT INTO notes VALUES (8, 'uncommitted')", 'SELECT * FROM missing'],
  'a distributed transaction': [`XA START '${LEFT}'`, "INSERT INTO notes VALUES (8, 'uncommitted')"],
  'no autocommit': ['SET autocommit = 0', "INSERT INTO notes VALUES (8, 'uncommitted')"],
  'an isolation level': ['SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE'],
  'read-only transactions': ['SET SESSION TRANSACTION READ ONLY'],
  'an isolation level of the next transaction': ['SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED'],
  'a sql_mode': ["SET SESSION sql_mode = ''"],
  'a sql_mode without escapes': ["SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'"],
  'a time zone': ["SET time_zone = '+09:00'"],
  'a character set': ['SET NAMES latin1'],
  'no foreign keys': ['SET foreign_key_checks = 0'],
  'a limit of rows': ['SET sql_select_limit = 0'],
  'a time limit': ['SET SESSION lock_wait_timeout = 1'],
  'a fixed time': ['SET timestamp = 1'],
  'an increment': ['SET auto_increment_increment = 7'],
  'a handler': ['HANDLER notes OPEN'],
  'the last key': ['CREATE TEMPORARY TABLE k (id INT AUTO_INCREMENT PRIMARY KEY)', 'INSERT INTO k VALUES (4711)', 'SELECT LAST_INSERT_ID(4711)'],
} // biome-ignore format: a table

/** Plain statements with a text that does not show their effect on the session, and the tenant's own SQL behind that effect. */
export const HIDDEN: Readonly<Record<string, { before: readonly string[]; plain: string }>> = {
  'the variable of a trigger': {
    before: ['CREATE TABLE hidden_k (id INT)', "CREATE TRIGGER hidden_t BEFORE INSERT ON hidden_k FOR EACH ROW SET @left = 'leaked'"],
    plain: 'INSERT INTO hidden_k VALUES (7)',
  },
  'the lock of a function': {
    before: [`CREATE FUNCTION hidden_f() RETURNS INT RETURN GET_LOCK('${LEFT}', 0)`],
    plain: 'SELECT hidden_f()',
  },
  'the lock of a view': {
    before: [`CREATE VIEW hidden_v AS SELECT GET_LOCK('${LEFT}', 0) AS l`],
    plain: 'SELECT * FROM hidden_v',
  },
  'the settings of a function': {
    before: ["CREATE FUNCTION hidden_f() RETURNS INT BEGIN SET SESSION sql_mode = ''; SET time_zone = '+09:00'; RETURN 1; END"],
    plain: 'SELECT hidden_f()',
  },
  'the key': {
    before: ['CREATE TABLE hidden_k (id INT AUTO_INCREMENT PRIMARY KEY, body INT)'],
    plain: 'INSERT INTO hidden_k (body) VALUES (1)',
  },
} // biome-ignore format: a table

export const HIDDEN_CLEAN_UP: readonly string[] = [
  'DROP TRIGGER IF EXISTS hidden_t',
  'DROP FUNCTION IF EXISTS hidden_f',
  'DROP VIEW IF EXISTS hidden_v',
  'DROP TABLE IF EXISTS hidden_k',
]

/** Runs the statements one by one, and ignores their errors. */
export async function pollute(on: Pool | Connection, statements: readonly string[]): Promise<void> {
  for (const text of statements) {
    // A pool commits the row immediately, so the row would not be a leftover of a session.
    if ('getConnection' in on && text.includes("'uncommitted'")) continue
    await on.query(text).catch(() => {})
  }
}

const SNAPSHOT = `
  SELECT CONNECTION_ID() AS id, DATABASE() AS db, CURRENT_USER() AS user, @left AS variable,
    IS_USED_LOCK('${LEFT}') AS lock_holder, LAST_INSERT_ID() AS last,
    @@autocommit AS autocommit, @@in_transaction AS in_transaction, @@tx_isolation AS isolation, @@tx_read_only AS read_only,
    @@sql_mode AS mode, @@time_zone AS zone, @@character_set_client AS client, @@collation_connection AS collation,
    @@character_set_results AS results, @@foreign_key_checks AS foreign_keys, @@sql_select_limit AS row_limit,
    HEX('ü') AS umlaut, @@lock_wait_timeout AS lock_wait, @@auto_increment_increment AS increment, @@timestamp > 1000 AS clock,
    (SELECT count(*) FROM information_schema.session_variables v JOIN information_schema.global_variables g
      USING (variable_name) WHERE v.variable_value <> g.variable_value
      AND variable_name NOT IN ('TIMESTAMP', 'RAND_SEED1', 'RAND_SEED2', 'PSEUDO_THREAD_ID', 'PSEUDO_SLAVE_MODE', 'LAST_INSERT_ID',
        'IDENTITY', 'INSERT_ID', 'IN_TRANSACTION', 'ERROR_COUNT', 'WARNING_COUNT', 'LAST_GTID', 'SKIP_REPLICATION', 'RAND_SEED')) AS changed`

/** The state of a session that its user can read, and the id of its connection. */
export async function snapshot(client: Pool | Connection): Promise<{ id: unknown; state: unknown }> {
  const [rows] = await client.query(SNAPSHOT)
  const { id, ...state } = (rows as Record<string, unknown>[])[0] ?? {}
  const [prepared, handler, notes] = await Promise.all(
    ['EXECUTE leaked', 'HANDLER notes READ FIRST', 'SELECT body FROM notes'].map(async (text) =>
      client.query(text).then(
        ([result]) => result,
        (error: { code: string }) => error.code,
      ),
    ),
  )
  return { id, state: { ...state, prepared, handler, notes } }
}

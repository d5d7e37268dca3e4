import type { Pool, PoolClient } from 'pg'

/** Statements that leave state in a session, by the name of the state. One lease runs each list. */
export const POLLUTERS: Readonly<Record<string, readonly string[]>> = {
  'a setting': ["SET TimeZone = 'Asia/Tokyo'"],
  'a search_path': ['SET search_path TO public'],
  'a timeout': ['SET statement_timeout = 12345'],
  'read-only transactions': ['SET default_transaction_read_only = on'],
  'a setting of its own': ["SET app.tenant = 'other tenant'"],
  'a setting from a function': ["SELECT set_config('app.tenant', 'other tenant', false)"],
  'a role': ['SET ROLE NONE'],
  'a session authorization': ['SET SESSION AUTHORIZATION DEFAULT'],
  'a temporary table named like a real one': [
    "CREATE TEMP TABLE notes AS SELECT 1 AS id, 'leaked'::text AS body",
  ],
  'a temporary table from a block': ['DO $$ BEGIN CREATE TEMP TABLE notes (id int, body text); END $$'],
  'an advisory lock': ['SELECT pg_advisory_lock(4711)'],
  'an advisory lock before an error': [
    'SELECT pg_advisory_lock(4711), 1 / (length(current_user) - length(current_user))',
  ],
  'a prepared statement': ['PREPARE leaked AS SELECT 1'],
  'a prepared statement from a block': ["DO $$ BEGIN EXECUTE 'PREPARE leaked AS SELECT 1'; END $$"],
  'a setting, and other statements in the place of all prepared ones': [
    `DO $$ DECLARE p record; BEGIN
      SET TimeZone = 'Asia/Tokyo';
      FOR p IN SELECT name, array_to_string(parameter_types, ', ') AS types FROM pg_prepared_statements LOOP
        EXECUTE format('DEALLOCATE %I', p.name);
        EXECUTE format('PREPARE %I %s AS SELECT true', p.name, '(' || nullif(p.types, '') || ')');
      END LOOP; END $$`,
  ],
  'a channel listened to': ['LISTEN leaked'],
  'a cursor that outlives its transaction': [
    'BEGIN',
    'DECLARE leaked CURSOR WITH HOLD FOR SELECT 1',
    'COMMIT',
  ],
  'a transaction not ended': ['BEGIN', 'DELETE FROM notes WHERE false'],
  'an aborted transaction': ['BEGIN', 'SELECT * FROM missing'],
  'the last value of a sequence': ["SELECT nextval('notes_id_seq')"],
  'a temporary table, and an end that looks like none': [
    'BEGIN',
    'DO $$ BEGIN CREATE TEMP TABLE notes (id int, body text); END $$',
    'COMMIT /* TO */',
  ],
  'a temporary table, and an end behind a comment': [
    'BEGIN',
    'DO $$ BEGIN CREATE TEMP TABLE notes (id int, body text); END $$',
    '-- it ends here\rCOMMIT',
  ],
  'a temporary table committed before an error': [
    "DO $$ BEGIN CREATE TEMP TABLE notes (id int, body text); COMMIT; RAISE 'late'; END $$",
  ],
  'a lock and a prepared statement before an error': [
    "DO $$ BEGIN EXECUTE 'SELECT pg_advisory_' || 'lock(4711)'; EXECUTE 'PREPARE leaked AS SELECT 1'; RAISE 'late'; END $$",
  ],
  'a value of a sequence before an error': [
    "SELECT nextval('notes_id_seq'), 1 / (length(current_user) - length(current_user))",
  ],
  'a trigger that another trigger defers': [
    'CREATE TABLE puts_off (id int)',
    'CREATE TABLE is_put_off (id int)',
    `CREATE FUNCTION puts_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      SET CONSTRAINTS ALL DEFERRED; INSERT INTO is_put_off VALUES (1); RETURN NULL; END $$`,
    `CREATE FUNCTION is_put_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      PERFORM pg_catalog.set_config('TimeZone', 'Asia/Tokyo', 1 = 0);
      CREATE TEMP TABLE notes (id int, body pg_catalog.text); RETURN NULL; END $$`,
    'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON puts_off DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION puts_off()',
    'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON is_put_off DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION is_put_off()',
    'INSERT INTO puts_off VALUES (1)',
  ],
  'an isolation level': ['SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE'],
}

/** Runs the statements one by one and ignores their errors. */
export async function pollute(on: Pick<Pool, 'query'>, statements: readonly string[]): Promise<void> {
  for (const text of statements) await on.query(text).catch(() => {})
}

const SNAPSHOT = `
  SELECT pg_backend_pid() AS pid, json_build_object(
    'user', current_user, 'session', session_user, 'path', current_setting('search_path'),
    'settings', (SELECT json_agg(json_build_array(name, setting, source) ORDER BY name) FROM pg_settings
      WHERE source = 'session' AND name NOT IN ('search_path', 'role', 'application_name')),
    -- Once used, a setting keeps its name for the life of the process, without a value.
    'own', coalesce(current_setting('app.tenant', true), ''),
    'isolation', current_setting('transaction_isolation'),
    'readonly', current_setting('transaction_read_only'),
    'locks', (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
    'prepared', (SELECT json_agg(name) FROM pg_prepared_statements WHERE from_sql),
    'channels', (SELECT json_agg(c) FROM pg_listening_channels() AS c),
    'cursors', (SELECT json_agg(name) FROM pg_cursors WHERE is_holdable),
    'temporary', (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
    'body', (SELECT min(body) FROM notes)) AS state`

/** Returns the state that a session shows its user, and the server process. */
export async function snapshot(
  client: Pick<Pool | PoolClient, 'query'>,
): Promise<{ pid: number; state: unknown }> {
  const { rows } = await (client as Pool).query(SNAPSHOT)
  const last = await (client as Pool).query('SELECT lastval()').then(
    ({ rows: [row] }) => row.lastval,
    (error) => error.code,
  )
  return { pid: rows[0].pid, state: { ...rows[0].state, last } }
}

/**
 * Resets a session of a pooler inside the transaction of its last user, where `DISCARD ALL` cannot run;
 * another text needs another name.
 */
export const LEAVE = 'tenantry.leave_4'

/** One row: whether it is there. */
export const ROUTINE_IS_THERE: string =
  'SELECT count(*) = 1 AS there FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace ' +
  `WHERE n.nspname || '.' || p.proname = '${LEAVE}'`

/**
 * Creates the routine. It has the rights of its caller, and finds nothing by `search_path`, which may be anything. It is called
 * by text each time: a prepared statement could be replaced, by SQL, with one that says it cleans.
 *
 * A SET CONSTRAINTS of its own would put a warning in the server's log with each statement.
 *
 * @see https://www.postgresql.org/docs/current/sql-discard.html for what a session keeps
 */
export const CREATE_ROUTINE: string = `
CREATE SCHEMA IF NOT EXISTS tenantry;
GRANT USAGE ON SCHEMA tenantry TO PUBLIC;
CREATE OR REPLACE PROCEDURE ${LEAVE}() LANGUAGE plpgsql AS $leave$
DECLARE
  -- Compiled once in a session, under a path that may have another type of that name.
  statement pg_catalog.text;
BEGIN
  -- Triggers that were put off would otherwise run at the end, without path and role.
  SET CONSTRAINTS ALL IMMEDIATE;
  -- A trigger that such a trigger deferred again would run after the reset. It runs now, and where nothing can be written nothing can
  -- be put off: not in temporary tables either, once they are gone.
  SET LOCAL transaction_read_only = on;
  IF pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0::pg_catalog.oid THEN
    DISCARD TEMP;
  END IF;
  SET CONSTRAINTS ALL IMMEDIATE;
  RESET ALL;
  SET SESSION AUTHORIZATION DEFAULT;
  SET ROLE NONE;
  UNLISTEN *;
  DISCARD SEQUENCES;
  PERFORM pg_catalog.pg_advisory_unlock_all();
  EXECUTE 'CLOSE ALL';
  -- What a pooler has prepared for all its clients it believes to be there.
  FOR statement IN SELECT p.name FROM pg_catalog.pg_prepared_statement() p WHERE p.from_sql LOOP
    EXECUTE pg_catalog.format('DEALLOCATE %I', statement);
  END LOOP;
END
$leave$;
GRANT EXECUTE ON ROUTINE ${LEAVE} TO PUBLIC`

/** Resets a session completely. It cannot run inside a transaction, and needs a message of its own. */
export const RESET_SESSION = 'DISCARD ALL'

/** Resets a pooled session inside the transaction that used it. */
export const RESET_POOLED: string = `CALL ${LEAVE}()`

/**
 * Ends a failed transaction behind a pooler and resets its session. One message, because the pooler may give the
 * session to another client as soon as a message ends outside a transaction.
 */
export const UNDO_POOLED: string = `ROLLBACK; BEGIN; ${RESET_POOLED}; COMMIT`

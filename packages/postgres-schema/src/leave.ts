/** The procedure that brings a session back to what it was, in a schema of ours; another text needs another name. */
export const LEAVE = 'tenantry.leave_1'

/** One row: whether it is there. */
export const LEAVE_IS_THERE: string =
  'SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace ' +
  "WHERE n.nspname || '.' || p.proname = '" +
  LEAVE +
  "') AS there"

/**
 * Makes it. One call instead of ten statements; it has the rights of whoever calls it, and finds nothing by `search_path`,
 * which may be anything. `clean` says that nothing is left which only `DISCARD ALL`, or the end, takes away.
 *
 * A SET CONSTRAINTS of its own would put a warning in the server's log with each statement.
 *
 * @see https://www.postgresql.org/docs/current/sql-discard.html for what a session keeps
 */
export const CREATE_LEAVE: string = `
CREATE SCHEMA IF NOT EXISTS tenantry;
GRANT USAGE ON SCHEMA tenantry TO PUBLIC;
CREATE OR REPLACE PROCEDURE ${LEAVE}(login text, prepared integer, OUT clean boolean) LANGUAGE plpgsql AS $leave$
BEGIN
  -- Triggers that were put off would otherwise run at the end, without path and role.
  SET CONSTRAINTS ALL IMMEDIATE;
  RESET ALL;
  SET ROLE NONE;
  UNLISTEN *;
  DISCARD SEQUENCES;
  PERFORM pg_catalog.pg_advisory_unlock_all();
  IF login IS NULL THEN
    DISCARD TEMP;
    EXECUTE 'CLOSE ALL';
    RETURN;
  END IF;
  -- Ours are not made by SQL: whoever takes one away and puts another in its place is seen.
  clean := session_user::pg_catalog.text OPERATOR(pg_catalog.=) login
    AND pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0::pg_catalog.oid
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_cursor() c WHERE c.is_holdable)
    AND (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.=) prepared::pg_catalog.int8 AND NOT pg_catalog.bool_or(p.from_sql)
      FROM pg_catalog.pg_prepared_statement() p);
END
$leave$;
GRANT EXECUTE ON PROCEDURE ${LEAVE} TO PUBLIC`

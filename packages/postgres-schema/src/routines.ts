/** Brings a session back to what it was, in a schema of ours; another text needs another name. */
export const LEAVE = 'tenantry.leave_3'

/** Throws `3F000` unless the schema of that name has the number, and its comment says that it is open. */
export const PRESENT = 'tenantry.present_1'

/** One row: whether they are there. */
export const ROUTINES_ARE_THERE: string =
  'SELECT count(*) = 2 AS there FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace ' +
  `WHERE n.nspname || '.' || p.proname IN ('${LEAVE}', '${PRESENT}')`

/**
 * Makes them; `shared` says that the session is a pooler's. One call instead of ten statements; they have the rights of
 * whoever calls them, and find nothing by `search_path`, which may be anything. They are called by text each time: a prepared statement could be replaced, by SQL,
 * with one that says it cleans.
 *
 * A SET CONSTRAINTS of its own would put a warning in the server's log with each statement.
 *
 * @see https://www.postgresql.org/docs/current/sql-discard.html for what a session keeps
 */
export const CREATE_ROUTINES: string = `
CREATE SCHEMA IF NOT EXISTS tenantry;
GRANT USAGE ON SCHEMA tenantry TO PUBLIC;
CREATE OR REPLACE PROCEDURE ${LEAVE}(shared boolean) LANGUAGE plpgsql AS $leave$
DECLARE
  -- Compiled once in a session, under a path that may have another type of that name.
  statement pg_catalog.text;
BEGIN
  -- Triggers that were put off would otherwise run at the end, without path and role.
  SET CONSTRAINTS ALL IMMEDIATE;
  -- What such a trigger put off anew would run when all is clean. It runs now, and where nothing can be written nothing can
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
  -- A seed that was chosen would make everybody's random numbers known; nothing else in SQL takes it away.
  PERFORM pg_catalog.setseed(pg_catalog.hashfloat8(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()))
    OPERATOR(pg_catalog./) 2147483648::pg_catalog.float8);
  EXECUTE 'CLOSE ALL';
  IF shared THEN
    -- What a pooler has prepared for all its clients it believes to be there.
    FOR statement IN SELECT p.name FROM pg_catalog.pg_prepared_statement() p WHERE p.from_sql LOOP
      EXECUTE pg_catalog.format('DEALLOCATE %I', statement);
    END LOOP;
  ELSE
    DEALLOCATE ALL;
  END IF;
END
$leave$;
CREATE OR REPLACE FUNCTION ${PRESENT}(schema text, number pg_catalog.oid, mark text) RETURNS void LANGUAGE plpgsql AS $present$
BEGIN
  IF pg_catalog.to_regnamespace(schema) OPERATOR(pg_catalog.=) number AND EXISTS (SELECT FROM pg_catalog.pg_description d
    WHERE d.objoid OPERATOR(pg_catalog.=) number AND d.objsubid OPERATOR(pg_catalog.=) 0
    AND d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
    AND d.description OPERATOR(pg_catalog.=) mark) THEN
    RETURN;
  END IF;
  RAISE 'The schema is gone, shut or another' USING ERRCODE = '3F000';
END
$present$;
GRANT EXECUTE ON ROUTINE ${LEAVE}, ${PRESENT} TO PUBLIC`

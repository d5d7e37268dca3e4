import { randomId } from '@tenantry/multi-tenancy/provider'
import { escapeIdentifier, escapeLiteral } from 'pg'
import type { ServerFacts } from '../connections/server-info.ts'
import { openMarker, ownershipComment, type SchemaPlace } from '../locator.ts'

/** What `DROP` calls each kind of relation. */
export const KINDS: Readonly<Record<'r' | 'p' | 'v' | 'm' | 'f', string>> = {
  r: 'TABLE',
  p: 'TABLE',
  v: 'VIEW',
  m: 'MATERIALIZED VIEW',
  f: 'FOREIGN TABLE',
}

/** The schemas of our make. */
export const LIST: string =
  "SELECT nspname::text AS name, oid, pg_catalog.obj_description(oid, 'pg_namespace') AS mark FROM pg_catalog.pg_namespace " +
  "WHERE pg_catalog.obj_description(oid, 'pg_namespace') LIKE 'tenantry:%'"

/** Roles of this database's tenants whose schema is gone: their comment names it. */
export const REMAINS: string =
  "SELECT substr(d.description, length($mark) + 1) AS name, substr(r.rolname::text, length('tenantry_') + 1) AS id " +
  'FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_shdescription d ON d.objoid = r.oid ' +
  "WHERE r.rolname ~ '^tenantry_[0-9a-v]{26}$' AND d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND left(d.description, length($mark)) = $mark " +
  "AND NOT EXISTS (SELECT FROM pg_catalog.pg_description s WHERE s.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass " +
  "AND s.description LIKE 'tenantry:' || substr(r.rolname::text, length('tenantry_') + 1) || '%')"

/** The comment on a tenant's role, which belongs to the whole server: the database and the schema it is for. */
export function roleMark({ databaseOid }: ServerFacts, schema: string): string {
  return `tenantry ${databaseOid} ${schema}`
}

const CLASS = 1952804961

/** Serializes creating, dropping and closing of one name in all processes. Waits a second: `55P03`. */
export function lock(name: string): string {
  const key = `pg_catalog.hashtext(${escapeLiteral(name)})`
  return `SET LOCAL lock_timeout = '1s'; SELECT pg_catalog.pg_advisory_xact_lock(${CLASS}, ${key}); SET LOCAL lock_timeout TO DEFAULT`
}

/** Whether a session `a` of a tenant holds that lock, which every role may take. */
export function holdsLock(name: string): string {
  const key = `(pg_catalog.hashtext(${escapeLiteral(name)})::pg_catalog.int8 & 4294967295)::pg_catalog.oid`
  return (
    "a.usename LIKE 'tenantry\\_%' AND a.usename <> current_user AND a.pid IN (SELECT l.pid FROM pg_catalog.pg_locks l " +
    `WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = ${CLASS} AND l.objid = ${key})`
  )
}

/** Ends the sessions `a` of this database of which that is true. */
export function endSessions(condition: string): string {
  return (
    'SELECT pg_catalog.pg_terminate_backend(a.pid, 1000) FROM pg_catalog.pg_stat_activity a ' +
    `WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.datname = pg_catalog.current_database() AND (${condition})`
  )
}

/** Runs a statement only if the schema is the one the locator was created for. */
export function ifOurs({ oid, id }: SchemaPlace, statement: string): string {
  const ours =
    "SELECT FROM pg_catalog.pg_description WHERE classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass " +
    `AND objsubid = 0 AND objoid = ${oid} AND description LIKE ${escapeLiteral(`${ownershipComment(id)}%`)}`
  return conditional(ours, statement)
}

/** Runs a statement only if the role is there. */
export function ifRole(role: string, statement: string): string {
  return conditional(`SELECT FROM pg_catalog.pg_roles WHERE rolname = ${escapeLiteral(role)}`, statement)
}

/** Creates the marker of an open schema. */
export function createOpenMarker(place: Pick<SchemaPlace, 'schema' | 'id'>): string {
  return `CREATE COLLATION IF NOT EXISTS ${openMarker(place)} FROM pg_catalog."C"`
}

/**
 * Drops the marker, also in a restored schema, whose number differs. Where objects of the tenant depend on it or a session
 * has it locked, the marker is renamed to a random name that no session could have locked before.
 */
export function dropOpenMarker(place: SchemaPlace): string {
  const exists =
    'SELECT FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace ' +
    `WHERE n.nspname = ${escapeLiteral(place.schema)} AND c.collname = ${escapeLiteral(place.id)}`
  const marker = openMarker(place)
  const body =
    `BEGIN SET LOCAL lock_timeout = '1s'; DROP COLLATION ${marker}; SET LOCAL lock_timeout TO DEFAULT; ` +
    'EXCEPTION WHEN dependent_objects_still_exist OR lock_not_available THEN ' +
    `ALTER COLLATION ${marker} RENAME TO ${escapeIdentifier(randomId())}; END`
  return conditional(exists, `DO ${escapeLiteral(body)}`)
}

function conditional(query: string, statement: string): string {
  const body = `BEGIN IF EXISTS (${query}) THEN EXECUTE ${escapeLiteral(statement)}; END IF; END`
  return `DO ${escapeLiteral(body)}`
}

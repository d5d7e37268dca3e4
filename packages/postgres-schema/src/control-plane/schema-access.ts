import type { CallOptions } from '@tenantry/multi-tenancy/provider'
import { escapeIdentifier, escapeLiteral, type QueryResult } from 'pg'
import { applicationName } from '../connections/scope.ts'
import { isState } from '../errors.ts'
import { ownershipComment, roleName, type SchemaPlace } from '../locator.ts'
import type { SchemaContext } from './schema-context.ts'
import { buildRoleLogin, hasOpenMarker } from './schema-creation.ts'
import {
  createOpenMarker,
  dropOpenMarker,
  endSessions,
  holdsLock,
  ifOurs,
  ifRole,
  KINDS,
  lock,
} from './statements.ts'

/** Relations dropped in one transaction: each takes several locks, and the server has 6,400 by default. */
const CHUNK = 200

export async function setAccess(
  context: SchemaContext,
  place: SchemaPlace,
  access: 'open' | 'closed',
  options: CallOptions,
): Promise<void> {
  const { server, settings } = context
  const { isolation } = settings
  const { schema, id } = place
  const statements = [
    lock(schema),
    ifOurs(
      place,
      `COMMENT ON SCHEMA ${escapeIdentifier(schema)} IS ${escapeLiteral(ownershipComment(id, access))}`,
    ),
    ...(hasOpenMarker(settings)
      ? [access === 'open' ? ifOurs(place, createOpenMarker(place)) : dropOpenMarker(place)]
      : []),
  ]
  if (isolation === 'role') {
    // A role may change its own password: opening access sets the derived password again.
    const logins = new Map<string, string>()
    for (const role of [roleName(id), roleName(id, 'manage')])
      logins.set(escapeIdentifier(role), access === 'open' ? await buildRoleLogin(settings, role) : 'NOLOGIN')
    statements.push(...forEachRole(id, (role) => `ALTER ROLE ${role} ${logins.get(role)}`))
  }
  if (isolation === 'set_role') {
    const login = escapeIdentifier(await server.login(options))
    const change = access === 'open' ? ['GRANT', 'TO'] : ['REVOKE', 'FROM']
    statements.push(...forEachRole(id, (role) => `${change[0]} ${role} ${change[1]} ${login}`))
  }
  await retryOnLock(context, schema, statements, options)
  if (access === 'closed') await endTenantSessions(context, place, options)
}

export async function dropSchema(
  context: SchemaContext,
  place: SchemaPlace,
  options: CallOptions,
): Promise<void> {
  const { server, settings } = context
  const { schema, id } = place
  await setAccess(context, place, 'closed', options)
  const until = settings.environment.now() + settings.drainTimeout
  for (;;) {
    try {
      await dropRelationsInChunks(context, place, options)
      await server.admin(
        [
          lock(schema),
          "SET LOCAL lock_timeout = '1s'",
          ifOurs(place, `DROP SCHEMA ${escapeIdentifier(schema)} CASCADE`),
          ...forEachRole(id, (role) => `DROP OWNED BY ${role}`),
          ...forEachRole(id, (role) => `DROP ROLE ${role}`),
        ].join(';\n'),
        options,
      )
      return
    } catch (error) {
      // Another session holds a lock, or a role that is dropped is in use: its connections are ended again.
      if (!isState(error, '55P03', '40P01', '55006') || settings.environment.now() > until) throw error
      await endTenantSessions(context, place, options)
    }
  }
}

/** Drops the relations of a large schema in chunks: all of them together would need more locks than the server has. */
async function dropRelationsInChunks(
  { server }: SchemaContext,
  { oid, schema }: SchemaPlace,
  options: CallOptions,
): Promise<void> {
  const relations =
    "SELECT relname, relkind FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') " +
    `AND relnamespace = ${oid} AND NOT relispartition ORDER BY relkind = 'v' DESC, oid DESC LIMIT ${2 * CHUNK}`
  for (;;) {
    const [result] = await server.admin(relations, options)
    const rows = result?.rows ?? []
    if (rows.length <= CHUNK) return
    const drops = rows.slice(0, CHUNK).map(({ relname, relkind }) => {
      const name = `${escapeIdentifier(schema)}.${escapeIdentifier(relname)}`
      return `DROP ${KINDS[relkind as keyof typeof KINDS]} IF EXISTS ${name} CASCADE`
    })
    await server.admin(["SET LOCAL lock_timeout = '1s'", ...drops].join(';\n'), options)
  }
}

/** Runs statements that begin with the lock of a name; ends sessions of tenants that hold that lock. */
export async function retryOnLock(
  { server, settings }: SchemaContext,
  name: string,
  statements: readonly string[],
  options: CallOptions,
): Promise<QueryResult[]> {
  const until = settings.environment.now() + settings.drainTimeout
  for (;;) {
    try {
      return await server.admin(statements.join(';\n'), options)
    } catch (error) {
      if (!isState(error, '55P03') || settings.environment.now() > until) throw error
      await server.admin(endSessions(holdsLock(name)), options)
    }
  }
}

/**
 * Ends, in every process, the sessions of the tenant's roles, sessions that work in its schema, and sessions that hold its
 * lock.
 */
export async function endTenantSessions(
  { server }: SchemaContext,
  { oid, id, schema }: SchemaPlace,
  options: CallOptions,
): Promise<void> {
  await server.admin(
    endSessions(
      `a.usename IN (${escapeLiteral(roleName(id))}, ${escapeLiteral(roleName(id, 'manage'))}) OR a.application_name = ${escapeLiteral(applicationName(id))} OR (${holdsLock(schema)}) OR ` +
        'a.pid IN (SELECT l.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation ' +
        `WHERE c.relnamespace = ${oid} AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))`,
    ),
    options,
  )
}

/** One statement for each of the tenant's roles that exists. */
function forEachRole(id: string, statement: (role: string) => string): string[] {
  return [roleName(id, 'manage'), roleName(id)].map((role) => ifRole(role, statement(escapeIdentifier(role))))
}

import { derivePassword } from '@tenantry/multi-tenancy/provider'
import { escapeIdentifier, escapeLiteral } from 'pg'
import { searchPath } from '../connections/scope.ts'
import { scramVerifier } from '../connections/scram.ts'
import type { ServerFacts } from '../connections/server-info.ts'
import { ownershipComment, roleName } from '../locator.ts'
import type { Settings } from '../options.ts'
import { distributeStatement } from './citus.ts'
import type { SchemaContext } from './schema-context.ts'
import { createOpenMarker, lock, roleMark } from './statements.ts'

/** The schema to create. */
export interface NewSchema {
  readonly name: string
  readonly id: string
  readonly facts: ServerFacts
  /** The login that serves requests. */
  readonly login: string
}

/** Whether an open schema carries a marker: with `set_role`, the statements take the role instead. */
export function hasOpenMarker({ isolation }: Settings): boolean {
  return isolation !== 'set_role'
}

/**
 * The statements that create a schema, in one transaction, so no role exists without its schema. The schema comes first:
 * of two concurrent creations one fails there.
 */
export async function buildCreation(
  { settings }: SchemaContext,
  { name, id, facts, login }: NewSchema,
): Promise<string[]> {
  const { isolation, distribute } = settings
  const schema = escapeIdentifier(name)
  const statements = [
    lock(name),
    `CREATE SCHEMA ${schema}`,
    `COMMENT ON SCHEMA ${schema} IS ${escapeLiteral(ownershipComment(id))}`,
    ...(hasOpenMarker(settings) ? [createOpenMarker({ schema: name, id })] : []),
  ]
  if (isolation !== 'search_path')
    statements.push(...(await buildRoles(settings, { name, id, facts, login })))
  else if (login !== facts.user)
    statements.push(`GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${escapeIdentifier(login)}`)
  if (distribute === 'citus') statements.push(distributeStatement(name))
  statements.push(`SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ${escapeLiteral(name)}`)
  return statements
}

/**
 * The statements that create a tenant's roles. One role serves. Where it logs in, a second role owns what migrations
 * create, so that no request can change a table's shape or add a trigger that a migration would run. The owner is a member
 * of the serving role, whose tables it may have to change; neither is a member of another role. A login that takes roles
 * must be a member of each, and the server searches all of its memberships, so there is one role for each tenant.
 */
async function buildRoles(
  settings: Settings,
  { name, id, facts, login: user }: NewSchema,
): Promise<string[]> {
  const { isolation, extensionsSchema } = settings
  const names = isolation === 'role' ? [roleName(id), roleName(id, 'manage')] : [roleName(id)]
  const [schema, database, role, owner] = [name, facts.database, ...names].map(escapeIdentifier)
  const login = escapeIdentifier(user)
  const logins = await Promise.all(names.map((role) => buildRoleLogin(settings, role)))
  const path = searchPath(name, extensionsSchema)
  const statements = names.flatMap((text, at) => {
    const quoted = escapeIdentifier(text)
    return [
      `CREATE ROLE ${quoted} ${logins[at]}`,
      `COMMENT ON ROLE ${quoted} IS ${escapeLiteral(roleMark(facts, name))}`,
      `GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${quoted}`,
      // The administrator may then end the role's connections and drop its objects.
      ...(facts.superuser ? [] : [`GRANT ${quoted} TO CURRENT_USER`]),
      isolation === 'role'
        ? `ALTER ROLE ${quoted} IN DATABASE ${database} SET search_path TO ${path}`
        : `GRANT ${quoted} TO ${login}`,
    ]
  })
  const inSchema = `IN SCHEMA ${schema} GRANT`
  // The tenant may also use objects that the administrator creates there.
  if (owner === undefined) {
    const all = ['TABLES', 'SEQUENCES'].map((kind) => `${inSchema} ALL ON ${kind} TO ${role}`)
    return [...statements, ...all.map((grant) => `ALTER DEFAULT PRIVILEGES ${grant}`)]
  }
  const grants = ['', `FOR ROLE ${owner} `].flatMap((owned) => [
    `${owned}${inSchema} SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES ON TABLES TO ${role}`,
    `${owned}${inSchema} ALL ON SEQUENCES TO ${role}`,
  ])
  grants.push(...['TABLES', 'SEQUENCES'].map((kind) => `${inSchema} ALL ON ${kind} TO ${owner}`))
  return [
    ...statements,
    `GRANT ${role} TO ${owner}`,
    ...grants.map((grant) => `ALTER DEFAULT PRIVILEGES ${grant}`),
  ]
}

/** The login attributes of a tenant's role. */
export async function buildRoleLogin({ isolation, secret }: Settings, role: string): Promise<string> {
  if (isolation !== 'role') return 'NOLOGIN'
  return `LOGIN PASSWORD ${escapeLiteral(await scramVerifier(await derivePassword(secret, role)))}`
}

import {
  type CallOptions,
  derivePassword,
  type ListedDatabase,
  type Locator,
  randomId,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import { escapeIdentifier, escapeLiteral, type QueryResult } from 'pg'
import { applicationName, searchPath } from '../connections/scope.ts'
import { scramVerifier } from '../connections/scram.ts'
import type { Server } from '../connections/server.ts'
import type { ServerFacts } from '../connections/server-info.ts'
import { isState } from '../errors.ts'
import { idIn, isName, locatorOf, markOf, roleOf, type SchemaPlace } from '../locator.ts'
import type { Settings } from '../options.ts'
import { distributeStatement } from './citus.ts'
import {
  endSessions,
  holdsLock,
  ifOurs,
  ifRole,
  KINDS,
  LIST,
  lock,
  putSign,
  REMAINS,
  roleMark,
  takeSign,
} from './statements.ts'

export interface FoundSchema extends SchemaPlace {
  /** Shut by `setAccess`. */
  readonly closed: boolean
}

/** The schemas of one database, as the administrator manages them. */
export interface Schemas {
  create(name: string, options: CallOptions): Promise<{ place: SchemaPlace; created: boolean }>
  /** @throws `name_taken` for a schema of that name that is not of our make */
  find(name: string, options: CallOptions): Promise<FoundSchema | undefined>
  /** Takes away schema and role, in bounded time also where others hold locks. */
  drop(place: SchemaPlace, options: CallOptions): Promise<void>
  setAccess(place: SchemaPlace, access: 'open' | 'closed', options: CallOptions): Promise<void>
  list(
    query: { prefix: string; after: string },
    options: CallOptions,
  ): Promise<{ databases: ListedDatabase[]; last: string | undefined }>
}

const PAGE = 500
/** Relations dropped in one transaction: each takes several locks, and the server has 6,400 by default. */
const CHUNK = 200

export function createSchemas(server: Server, settings: Settings): Schemas {
  const { isolation, extensionsSchema, distribute, secret, drainTimeout, environment } = settings
  const { admin } = server
  /** Where each tenant has a role that is taken, the role is what statements ask by. */
  const signs = isolation !== 'set_role'

  async function create(
    name: string,
    options: CallOptions,
  ): Promise<{ place: SchemaPlace; created: boolean }> {
    checkName(name)
    const facts = await server.facts.prepare(options)
    const there = await find(name, options)
    if (there !== undefined) return { place: there, created: false }
    const id = randomId()
    try {
      const results = await insist(
        name,
        await creation(name, id, facts, await server.login(options)),
        options,
      )
      const oid = Number(results.at(-1)?.rows[0].oid)
      return { place: { server: server.name, schema: name, oid, id }, created: true }
    } catch (error) {
      if (!isState(error, '42P06')) throw error
      const place = await find(name, options)
      if (place !== undefined) return { place, created: false }
      throw new TenancyError('provider_unavailable', 'The schema came and went', {
        retryAfter: 1,
        cause: error,
      })
    }
  }

  /** Everything in one transaction: a role without its schema never was. The schema comes first: it is the fence. */
  async function creation(name: string, id: string, facts: ServerFacts, login: string): Promise<string[]> {
    const schema = escapeIdentifier(name)
    const statements = [
      lock(name),
      `CREATE SCHEMA ${schema}`,
      `COMMENT ON SCHEMA ${schema} IS ${escapeLiteral(markOf(id))}`,
      ...(signs ? [putSign({ schema: name, id })] : []),
    ]
    if (isolation !== 'search_path') statements.push(...(await roles(name, id, facts, login)))
    else if (login !== facts.user)
      statements.push(`GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${escapeIdentifier(login)}`)
    if (distribute === 'citus') statements.push(distributeStatement(name))
    statements.push(`SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ${escapeLiteral(name)}`)
    return statements
  }

  /**
   * A role that serves. Where it logs in there is a second one that owns what migrations make, so that nothing a request
   * says can change a table's shape, or put a trigger where a migration would run it. Neither is a member of anything,
   * but the owner of the other, whose tables it may have to change. (A login that takes roles must be a member of each,
   * and the server goes through all of them to find out: one for each tenant is enough.)
   */
  async function roles(name: string, id: string, facts: ServerFacts, user: string): Promise<string[]> {
    const names = isolation === 'role' ? [roleOf(id), roleOf(id, 'manage')] : [roleOf(id)]
    const [schema, database, role, owner] = [name, facts.database, ...names].map(escapeIdentifier)
    const login = escapeIdentifier(user)
    const logins = await Promise.all(names.map(loginOf))
    const path = searchPath(name, extensionsSchema)
    const each = names.flatMap((text, at) => {
      const quoted = escapeIdentifier(text)
      return [
        `CREATE ROLE ${quoted} ${logins[at]}`,
        `COMMENT ON ROLE ${quoted} IS ${escapeLiteral(roleMark(facts, name))}`,
        `GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${quoted}`,
        // So that it may end the role's connections and drop what the role owns.
        ...(facts.superuser ? [] : [`GRANT ${quoted} TO CURRENT_USER`]),
        isolation === 'role'
          ? `ALTER ROLE ${quoted} IN DATABASE ${database} SET search_path TO ${path}`
          : `GRANT ${quoted} TO ${login}`,
      ]
    })
    const inSchema = `IN SCHEMA ${schema} GRANT`
    // What the administrator makes there is the tenant's to use as well.
    if (owner === undefined) {
      const whole = ['TABLES', 'SEQUENCES'].map((kind) => `${inSchema} ALL ON ${kind} TO ${role}`)
      return [...each, ...whole.map((grant) => `ALTER DEFAULT PRIVILEGES ${grant}`)]
    }
    const grants = ['', `FOR ROLE ${owner} `].flatMap((maker) => [
      `${maker}${inSchema} SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES ON TABLES TO ${role}`,
      `${maker}${inSchema} ALL ON SEQUENCES TO ${role}`,
    ])
    grants.push(...['TABLES', 'SEQUENCES'].map((kind) => `${inSchema} ALL ON ${kind} TO ${owner}`))
    return [
      ...each,
      `GRANT ${role} TO ${owner}`,
      ...grants.map((grant) => `ALTER DEFAULT PRIVILEGES ${grant}`),
    ]
  }

  /** Whether a role logs in, and with what. */
  async function loginOf(role: string): Promise<string> {
    if (isolation !== 'role') return 'NOLOGIN'
    return `LOGIN PASSWORD ${escapeLiteral(await scramVerifier(await derivePassword(secret, role)))}`
  }

  async function find(name: string, options: CallOptions): Promise<FoundSchema | undefined> {
    if (!isName(name)) return undefined
    const [found] = await admin(
      "SELECT oid, pg_catalog.obj_description(oid, 'pg_namespace') AS mark FROM pg_catalog.pg_namespace " +
        `WHERE nspname = ${escapeLiteral(name)}`,
      options,
    )
    const row = found?.rows[0]
    if (row === undefined) return undefined
    const id = idIn(row.mark)
    if (id === undefined) {
      throw new TenancyError('name_taken', 'A schema of this name is there that Tenantry did not make')
    }
    return { server: server.name, schema: name, oid: Number(row.oid), id, closed: row.mark !== markOf(id) }
  }

  async function drop(place: SchemaPlace, options: CallOptions): Promise<void> {
    const { schema, id } = place
    await setAccess(place, 'closed', options)
    const until = environment.now() + drainTimeout
    for (;;) {
      try {
        await empty(place, options)
        await admin(
          [
            lock(schema),
            "SET LOCAL lock_timeout = '1s'",
            ifOurs(place, `DROP SCHEMA ${escapeIdentifier(schema)} CASCADE`),
            ...ofRoles(id, (role) => `DROP OWNED BY ${role}`),
            ...ofRoles(id, (role) => `DROP ROLE ${role}`),
          ].join(';\n'),
          options,
        )
        return
      } catch (error) {
        // Somebody holds a lock, or a role that ends: its connections are ended again.
        if (!isState(error, '55P03', '40P01', '55006') || environment.now() > until) throw error
        await terminate(place, options)
      }
    }
  }

  /** Drops the tables of a large schema some at a time: all at once they would need more locks than there are. */
  async function empty({ oid, schema }: SchemaPlace, options: CallOptions): Promise<void> {
    const relations =
      "SELECT relname, relkind FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') " +
      `AND relnamespace = ${oid} AND NOT relispartition ORDER BY relkind = 'v' DESC, oid DESC LIMIT ${2 * CHUNK}`
    for (;;) {
      const [found] = await admin(relations, options)
      const rows = found?.rows ?? []
      if (rows.length <= CHUNK) return
      const drops = rows.slice(0, CHUNK).map(({ relname, relkind }) => {
        const name = `${escapeIdentifier(schema)}.${escapeIdentifier(relname)}`
        return `DROP ${KINDS[relkind as keyof typeof KINDS]} IF EXISTS ${name} CASCADE`
      })
      await admin(["SET LOCAL lock_timeout = '1s'", ...drops].join(';\n'), options)
    }
  }

  async function setAccess(
    place: SchemaPlace,
    access: 'open' | 'closed',
    options: CallOptions,
  ): Promise<void> {
    const { schema, id } = place
    const statements = [
      lock(schema),
      ifOurs(place, `COMMENT ON SCHEMA ${escapeIdentifier(schema)} IS ${escapeLiteral(markOf(id, access))}`),
      ...(signs ? [access === 'open' ? ifOurs(place, putSign(place)) : takeSign(place)] : []),
    ]
    if (isolation === 'role') {
      // A role may change its own password: opened again, it has the one we know.
      const logins = new Map<string, string>()
      for (const role of [roleOf(id), roleOf(id, 'manage')])
        logins.set(escapeIdentifier(role), access === 'open' ? await loginOf(role) : 'NOLOGIN')
      statements.push(...ofRoles(id, (role) => `ALTER ROLE ${role} ${logins.get(role)}`))
    }
    if (isolation === 'set_role') {
      const login = escapeIdentifier(await server.login(options))
      const change = access === 'open' ? ['GRANT', 'TO'] : ['REVOKE', 'FROM']
      statements.push(...ofRoles(id, (role) => `${change[0]} ${role} ${change[1]} ${login}`))
    }
    await insist(schema, statements, options)
    if (access === 'closed') await terminate(place, options)
  }

  /** Runs what begins with the lock of a name, whatever tenants have taken it. */
  async function insist(
    name: string,
    statements: readonly string[],
    options: CallOptions,
  ): Promise<QueryResult[]> {
    const until = environment.now() + drainTimeout
    for (;;) {
      try {
        return await admin(statements.join(';\n'), options)
      } catch (error) {
        if (!isState(error, '55P03') || environment.now() > until) throw error
        await admin(endSessions(holdsLock(name)), options)
      }
    }
  }

  /** Ends, in every process, the connections of the tenant's role and all that work in its schema now, or keep it from us. */
  async function terminate({ oid, id, schema }: SchemaPlace, options: CallOptions): Promise<void> {
    await admin(
      endSessions(
        `a.usename IN (${escapeLiteral(roleOf(id))}, ${escapeLiteral(roleOf(id, 'manage'))}) OR a.application_name = ${escapeLiteral(applicationName(id))} OR (${holdsLock(schema)}) OR ` +
          'a.pid IN (SELECT l.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation ' +
          `WHERE c.relnamespace = ${oid} AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))`,
      ),
      options,
    )
  }

  async function list(
    { prefix, after }: { prefix: string; after: string },
    options: CallOptions,
  ): Promise<{ databases: ListedDatabase[]; last: string | undefined }> {
    const facts = await server.facts.read(options)
    const mark = roleMark(facts, '')
    const [schemas, roles] = await admin(
      `SELECT * FROM (${LIST}) s WHERE left(name, ${prefix.length}) = ${escapeLiteral(prefix)} ` +
        `AND name COLLATE "C" > ${escapeLiteral(after)} ORDER BY name COLLATE "C" LIMIT ${PAGE};` +
        `SELECT * FROM (${REMAINS.replaceAll('$mark', escapeLiteral(mark))}) r ` +
        `WHERE ${after === '' ? '' : 'false AND '} left(name, ${prefix.length}) = ${escapeLiteral(prefix)}`,
      options,
    )
    const found = (schemas?.rows ?? []).flatMap(({ name, oid, mark: comment }): ListedDatabase[] => {
      const id = idIn(comment)
      return id === undefined ? [] : [{ name, locator: locate(name, Number(oid), id) }]
    })
    const remaining = (roles?.rows ?? []).map(({ name, id }): ListedDatabase => {
      return { name, locator: locate(name, 0, id), leftover: 'role' }
    })
    const rows = schemas?.rows ?? []
    const last = rows.length === PAGE ? String(rows.at(-1)?.name) : undefined
    return { databases: [...found, ...remaining], last }
  }

  function locate(schema: string, oid: number, id: string): Locator {
    return locatorOf({ server: server.name, schema, oid, id })
  }

  return { create, find, drop, setAccess, list }
}

/** One statement for each of the tenant's roles that is there. */
function ofRoles(id: string, statement: (role: string) => string): string[] {
  return [roleOf(id, 'manage'), roleOf(id)].map((role) => ifRole(role, statement(escapeIdentifier(role))))
}

function checkName(name: string): void {
  if (!isName(name)) throw new TenancyError('internal', 'The name is not one of a schema')
}

import {
  type CallOptions,
  type ListedDatabase,
  type Locator,
  randomId,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import { escapeLiteral } from 'pg'
import type { Server } from '../connections/server.ts'
import { isState } from '../errors.ts'
import { idIn, isName, ownershipComment, type SchemaPlace, toLocator } from '../locator.ts'
import type { Settings } from '../options.ts'
import { dropSchema, retryOnLock, setAccess } from './schema-access.ts'
import type { SchemaContext } from './schema-context.ts'
import { buildCreation } from './schema-creation.ts'
import { LIST, REMAINS, roleMark } from './statements.ts'

export interface FoundSchema extends SchemaPlace {
  /** Closed by `setAccess`. */
  readonly closed: boolean
}

/** The schemas of one database, as the administrator manages them. */
export interface Schemas {
  create(name: string, options: CallOptions): Promise<{ place: SchemaPlace; created: boolean }>
  /** @throws `name_taken` for a schema of that name that Tenantry did not create */
  find(name: string, options: CallOptions): Promise<FoundSchema | undefined>
  /** Drops the schema and its roles, in bounded time also where other sessions hold locks. */
  drop(place: SchemaPlace, options: CallOptions): Promise<void>
  setAccess(place: SchemaPlace, access: 'open' | 'closed', options: CallOptions): Promise<void>
  list(
    query: { prefix: string; after: string },
    options: CallOptions,
  ): Promise<{ databases: ListedDatabase[]; last: string | undefined }>
}

const PAGE = 500

export function createSchemas(server: Server, settings: Settings): Schemas {
  const context = { server, settings }
  return {
    create: (name, options) => createSchema(context, name, options),
    find: (name, options) => findSchema(context, name, options),
    drop: (place, options) => dropSchema(context, place, options),
    setAccess: (place, access, options) => setAccess(context, place, access, options),
    list: (query, options) => listSchemas(context, query, options),
  }
}

async function createSchema(
  context: SchemaContext,
  name: string,
  options: CallOptions,
): Promise<{ place: SchemaPlace; created: boolean }> {
  const { server } = context
  checkName(name)
  const facts = await server.facts.prepare(options)
  const existing = await findSchema(context, name, options)
  if (existing !== undefined) return { place: existing, created: false }
  const id = randomId()
  try {
    const login = await server.login(options)
    const statements = await buildCreation(context, { name, id, facts, login })
    const results = await retryOnLock(context, name, statements, options)
    const oid = Number(results.at(-1)?.rows[0].oid)
    return { place: { server: server.name, schema: name, oid, id }, created: true }
  } catch (error) {
    if (!isState(error, '42P06')) throw error
    const place = await findSchema(context, name, options)
    if (place !== undefined) return { place, created: false }
    throw new TenancyError('provider_unavailable', 'The schema was created and dropped concurrently', {
      retryAfter: 1,
      cause: error,
    })
  }
}

async function findSchema(
  { server }: SchemaContext,
  name: string,
  options: CallOptions,
): Promise<FoundSchema | undefined> {
  if (!isName(name)) return undefined
  const [result] = await server.admin(
    "SELECT oid, pg_catalog.obj_description(oid, 'pg_namespace') AS mark FROM pg_catalog.pg_namespace " +
      `WHERE nspname = ${escapeLiteral(name)}`,
    options,
  )
  const row = result?.rows[0]
  if (row === undefined) return undefined
  const id = idIn(row.mark)
  if (id === undefined) {
    throw new TenancyError(
      'name_taken',
      `The schema ${JSON.stringify(name)} exists, but Tenantry did not create it`,
    )
  }
  return {
    server: server.name,
    schema: name,
    oid: Number(row.oid),
    id,
    closed: row.mark !== ownershipComment(id),
  }
}

async function listSchemas(
  { server }: SchemaContext,
  { prefix, after }: { prefix: string; after: string },
  options: CallOptions,
): Promise<{ databases: ListedDatabase[]; last: string | undefined }> {
  const facts = await server.facts.read(options)
  const mark = roleMark(facts, '')
  const [schemas, roles] = await server.admin(
    `SELECT * FROM (${LIST}) s WHERE left(name, ${prefix.length}) = ${escapeLiteral(prefix)} ` +
      `AND name COLLATE "C" > ${escapeLiteral(after)} ORDER BY name COLLATE "C" LIMIT ${PAGE};` +
      `SELECT * FROM (${REMAINS.replaceAll('$mark', escapeLiteral(mark))}) r ` +
      `WHERE ${after === '' ? '' : 'false AND '} left(name, ${prefix.length}) = ${escapeLiteral(prefix)}`,
    options,
  )
  const databases = (schemas?.rows ?? []).flatMap(({ name, oid, mark: comment }): ListedDatabase[] => {
    const id = idIn(comment)
    return id === undefined ? [] : [{ name, locator: locate(server.name, name, Number(oid), id) }]
  })
  const remaining = (roles?.rows ?? []).map(({ name, id }): ListedDatabase => {
    return { name, locator: locate(server.name, name, 0, id), leftover: 'role' }
  })
  const rows = schemas?.rows ?? []
  const last = rows.length === PAGE ? String(rows.at(-1)?.name) : undefined
  return { databases: [...databases, ...remaining], last }
}

function locate(server: string, schema: string, oid: number, id: string): Locator {
  return toLocator({ server, schema, oid, id })
}

function checkName(name: string): void {
  if (!isName(name)) throw new TenancyError('internal', 'The name is not one of a schema')
}

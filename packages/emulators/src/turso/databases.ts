import { randomUUID } from 'node:crypto'
import { parseConfiguration } from './configuration.ts'
import { ApiError, databaseNotFound, notEmulated } from './errors.ts'
import { checkDatabaseName, formatHostname, namespaceName } from './names.ts'
import type { NamespaceConfig, Namespaces } from './namespaces.ts'
import type { DatabaseRecord, Records } from './records.ts'
import { createSigningKey } from './tokens.ts'

/** The body of a create request, before it is checked. */
export type CreateInput = Readonly<Record<string, unknown>>

/** What can be done to databases, without HTTP. Every method throws {@link ApiError} as the API would answer. */
export interface Databases {
  find(name: string): DatabaseRecord
  create(input: CreateInput): Promise<DatabaseRecord>
  remove(name: string): Promise<void>
  configure(name: string, input: Readonly<Record<string, unknown>>): Promise<DatabaseRecord>
  /** Gives the database a new key; no token minted before opens it again. */
  rotate(name: string): Promise<void>
  /** Sends the record's configuration to sqld. Call it within a change of the records. */
  apply(record: DatabaseRecord): Promise<void>
}

/** What the databases depend on. */
export interface DatabasesOptions {
  readonly records: Records
  readonly namespaces: Namespaces
  /** The answer to a name that is taken, which differs between the documentation and the live service. */
  readonly duplicate: (name: string) => ApiError
  /** How far a rotation reaches. */
  readonly rotation: 'database' | 'group'
  readonly now: () => number
}

/** The databases of one organization, each a namespace of sqld with keys of its own. */
export function createDatabases(options: DatabasesOptions): Databases {
  const { records, namespaces, duplicate, rotation, now } = options
  const { organization, databases, groups } = records

  const find = (name: string): DatabaseRecord => {
    const record = databases.get(name)
    if (record === undefined) throw databaseNotFound(name)
    return record
  }
  const toConfig = (record: DatabaseRecord): NamespaceConfig => {
    const groupKey = groups.get(record.group)?.key.publicPem
    return {
      publicKeys: [
        record.key.publicPem,
        records.internalKey.publicPem,
        ...(groupKey === undefined ? [] : [groupKey]),
      ],
      blockReads: record.blockReads,
      blockWrites: record.blockWrites,
      allowAttach: record.allowAttach,
      maxSize: record.sizeLimit === '' ? undefined : record.sizeLimit,
    }
  }
  const apply = (record: DatabaseRecord): Promise<void> =>
    namespaces.configure(record.namespace, toConfig(record))

  const create = (input: CreateInput): Promise<DatabaseRecord> =>
    records.change(async () => {
      const name = checkDatabaseName(input.name, organization)
      const group = groups.get(String(input.group))
      if (group === undefined) throw new ApiError(400, 'group not found')
      if (databases.has(name)) throw duplicate(name)
      if (input.remote_encryption !== undefined) throw notEmulated('remote_encryption')
      const source = findSeed(input.seed, databases)
      const record: DatabaseRecord = {
        name,
        id: randomUUID(),
        hostname: formatHostname(name, organization, group.location),
        namespace: namespaceName(name, organization),
        group: group.name,
        location: group.location,
        parent: source && { id: source.id, name: source.name, branched_at: new Date(now()).toISOString() },
        key: createSigningKey(),
        ...{ sizeLimit: '', allowAttach: false, blockReads: false, blockWrites: false },
        ...{ deleteProtection: false, allowedIps: [], allowedVpcIds: [] },
        ...parseConfiguration({ size_limit: input.size_limit }),
      }
      if (source === null) await namespaces.create(record.namespace, toConfig(record))
      else await namespaces.fork(source.namespace, record.namespace, toConfig(record))
      databases.set(name, record)
      return record
    })

  const rotate = (name: string): Promise<void> =>
    records.change(async () => {
      const record = find(name)
      // The group's tokens go with it: https://docs.turso.tech/cli/db/tokens/invalidate
      const group = groups.get(record.group)
      const spreads = rotation === 'group' || group?.issued !== false
      if (group && spreads) Object.assign(group, { key: createSigningKey(), issued: false })
      const members = [...databases.values()].filter((other) => other.group === record.group)
      for (const member of spreads ? members : [record]) {
        if (member === record || rotation === 'group') member.key = createSigningKey()
        await apply(member)
      }
    })

  return {
    find,
    create,
    apply,
    rotate,
    remove: (name) =>
      records.change(async () => {
        const record = find(name)
        if (record.deleteProtection || groups.get(record.group)?.deleteProtection) {
          throw new ApiError(403, `database [${name}] is protected against deletion`)
        }
        await namespaces.destroy(record.namespace)
        databases.delete(name)
      }),
    configure: (name, input) =>
      records.change(async () => {
        const record = Object.assign(find(name), parseConfiguration(input))
        await apply(record)
        return record
      }),
  }
}

/** The database a new one is copied from; `null` when it starts empty. */
function findSeed(seed: unknown, databases: ReadonlyMap<string, DatabaseRecord>): DatabaseRecord | null {
  if (seed === undefined || seed === null) return null
  const { type, name, timestamp } = seed as Record<string, unknown>
  if (type !== 'database') throw notEmulated(`seed.type ${JSON.stringify(type)}`)
  if (timestamp !== undefined) throw notEmulated('seed.timestamp')
  const source = databases.get(String(name))
  if (source === undefined) throw new ApiError(400, databaseNotFound(String(name)).message)
  return source
}

import { randomUUID } from 'node:crypto'
import { readFlag } from './configuration.ts'
import type { Databases } from './databases.ts'
import { ApiError } from './errors.ts'
import { locations } from './names.ts'
import type { Namespaces } from './namespaces.ts'
import type { DatabaseRecord, GroupRecord, Records } from './records.ts'
import { createSigningKey } from './tokens.ts'

/** What can be done to groups, without HTTP. Every method throws {@link ApiError} as the API would answer. */
export interface Groups {
  find(name: string): GroupRecord
  create(input: Readonly<Record<string, unknown>>): Promise<GroupRecord>
  /** Deletes the group and every database in it. */
  remove(name: string): Promise<GroupRecord>
  configure(name: string, input: Readonly<Record<string, unknown>>): Promise<GroupRecord>
  /** Gives the group and every database in it new keys. */
  rotate(name: string): Promise<void>
}

/** The groups of one organization. */
export function createGroups(records: Records, databases: Databases, namespaces: Namespaces): Groups {
  const find = (name: string): GroupRecord => {
    const record = records.groups.get(name)
    if (record === undefined) throw new ApiError(404, 'group not found')
    return record
  }
  const members = (name: string): DatabaseRecord[] =>
    [...records.databases.values()].filter((database) => database.group === name)

  return {
    find,
    create: (input) =>
      records.change(async () => {
        const { name, location } = input
        if (typeof name !== 'string' || !/^[a-z0-9-]+$/.test(name)) {
          throw new ApiError(400, 'invalid group name')
        }
        if (typeof location !== 'string' || locations[location] === undefined) {
          throw new ApiError(400, `invalid location: ${location}`)
        }
        if (records.groups.has(name)) throw new ApiError(409, 'group already exists')
        const record = {
          name,
          uuid: randomUUID(),
          location,
          deleteProtection: false,
          key: createSigningKey(),
          issued: false,
        }
        records.groups.set(name, record)
        return record
      }),
    // A group goes with its databases: https://docs.turso.tech/cli/group/destroy
    remove: (name) =>
      records.change(async () => {
        const record = find(name)
        if (record.deleteProtection || members(name).some((database) => database.deleteProtection)) {
          throw new ApiError(403, `group [${name}] is protected against deletion`)
        }
        for (const database of members(name)) {
          await namespaces.destroy(database.namespace)
          records.databases.delete(database.name)
        }
        records.groups.delete(name)
        return record
      }),
    configure: (name, input) =>
      records.change(async () => {
        const record = find(name)
        record.deleteProtection = readFlag(input, 'delete_protection') ?? record.deleteProtection
        return record
      }),
    // https://docs.turso.tech/sdk/authorization/tokens: "for a group (and all its databases)"
    rotate: (name) =>
      records.change(async () => {
        Object.assign(find(name), { key: createSigningKey(), issued: false })
        for (const database of members(name)) {
          database.key = createSigningKey()
          await databases.apply(database)
        }
      }),
  }
}

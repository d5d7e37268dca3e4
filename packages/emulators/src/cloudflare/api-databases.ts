import { randomUUID } from 'node:crypto'
import { ApiError, databaseNotFound, invalidProperty, success } from './envelope.ts'
import type { ApiOperation } from './operations.ts'
import type { DatabaseRecord, Records } from './records.ts'
import { type ApiOptions, findDatabase, type Route } from './route.ts'

type Operation = `databases.${'create' | 'list' | 'get' | 'update' | 'edit' | 'delete'}` & ApiOperation

const regions = ['wnam', 'enam', 'weur', 'eeur', 'apac', 'oc']
const jurisdictions = ['eu', 'fedramp', 'us']
const defaultRegion = 'weur'
const modes = ['auto', 'disabled'] as const

/** The routes of databases as such. */
export function databaseRoutes(options: ApiOptions): Readonly<Record<Operation, Route>> {
  const { records, storage, databaseLimit, now } = options

  const details = async (record: DatabaseRecord): Promise<Record<string, unknown>> => ({
    ...{ ...summary(record), ...(await storage.info(record.uuid)) },
    read_replication: { mode: record.replication },
  })
  const update = ({ required }: { required: boolean }): Route => {
    return async (call, input) => {
      const record = findDatabase(records, call)
      const mode = parseReplication(input)
      if (mode === undefined && required) throw invalidProperty('read_replication', 'Required')
      // The live service answers an empty edit with this error.
      if (mode === undefined) throw new ApiError(500, 7500, internalError())
      await records.change(async () => {
        record.replication = mode
      })
      return success(await details(record))
    }
  }
  return {
    'databases.create': (_, input) => {
      const record = newDatabase(input, now())
      return records.change(async () => {
        if (records.databases.size >= databaseLimit) {
          throw new ApiError(400, 7406, `System limit reached: databases per account (${databaseLimit})`)
        }
        if ([...records.databases.values()].some(({ name }) => name === record.name)) {
          throw new ApiError(400, 7502, `Database with name: '${record.name}' already exists`)
        }
        await storage.create(record.uuid)
        records.databases.set(record.uuid, record)
        return success({ ...(await details(record)), created_in_region: record.region.toUpperCase() })
      })
    },
    'databases.list': ({ query }) => {
      const search = query.get('name') ?? ''
      const page = parseInteger(query, 'page', { least: 1, most: Number.MAX_SAFE_INTEGER, otherwise: 1 })
      const perPage = parseInteger(query, 'per_page', { least: 10, most: 10_000, otherwise: 1000 })
      const matching = [...records.databases.values()].filter(({ name }) => name.includes(search))
      const listed = matching.slice((page - 1) * perPage, page * perPage)
      const info = { count: listed.length, page, per_page: perPage, total_count: matching.length }
      return success(listed.map(summary), { info })
    },
    'databases.get': async ({ parameters: { database = '' }, query }) => {
      // By name too: the official command line depends on it.
      const record = records.find(database)
      if (record === undefined) throw databaseNotFound(database)
      const all = { ...(await details(record)), running_in_region: record.region.toUpperCase() }
      const fields = query.get('fields')?.split(',')
      return success(
        fields ? Object.fromEntries(Object.entries(all).filter(([key]) => fields.includes(key))) : all,
      )
    },
    'databases.update': update({ required: true }),
    'databases.edit': update({ required: false }),
    'databases.delete': async (call) => {
      await removeDatabase(options, findDatabase(records, call))
      return success(null)
    },
  }
}

/**
 * Removes a database and its content.
 *
 * @throws ApiError 404 when a racing request was first
 */
export function removeDatabase(
  { records, storage }: Pick<ApiOptions, 'records' | 'storage'>,
  { uuid }: DatabaseRecord,
): Promise<void> {
  return records.change(async () => {
    if (!records.databases.has(uuid)) throw databaseNotFound(uuid)
    await storage.destroy(uuid)
    records.databases.delete(uuid)
  })
}

/** What a failing service says: the code is that of an SQL error, the status is not. */
export function internalError(): string {
  return `internal error; reference = e_${randomUUID().replaceAll('-', '').slice(0, 24)}`
}

/** A database that is new. @throws ApiError 400 with 7400 */
export function newDatabase(input: Readonly<Record<string, unknown>>, now: number): DatabaseRecord {
  const { name, primary_location_hint: hint, jurisdiction } = input
  if (typeof name !== 'string') throw invalidProperty('name', 'Required')
  if (name === '') throw invalidProperty('name', 'String must contain at least 1 character(s)')
  return {
    ...{ uuid: randomUUID(), name, createdAt: new Date(now).toISOString() },
    region: parseChoice('primary_location_hint', regions, hint) ?? defaultRegion,
    jurisdiction: parseChoice('jurisdiction', jurisdictions, jurisdiction),
    replication: parseReplication(input) ?? 'disabled',
  }
}

function summary({ uuid, name, createdAt, jurisdiction }: DatabaseRecord): Record<string, unknown> {
  return { uuid, name, version: 'production', created_at: createdAt, ...(jurisdiction && { jurisdiction }) }
}

function parseReplication({
  read_replication: value,
}: Readonly<Record<string, unknown>>): (typeof modes)[number] | undefined {
  if (value === undefined) return undefined
  const mode = (value as { mode?: unknown } | null)?.mode
  const replication = modes.find((candidate) => candidate === mode)
  if (replication === undefined)
    throw invalidProperty('read_replication.mode', `Expected ${modes.join(' | ')}`)
  return replication
}

function parseChoice(property: string, choices: readonly string[], value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  const match = choices.find((choice) => choice === value)
  if (match === undefined) throw invalidProperty(property, `Expected ${choices.join(' | ')}`)
  return match
}

function parseInteger(
  query: URLSearchParams,
  name: string,
  { least, most, otherwise }: { least: number; most: number; otherwise: number },
): number {
  const text = query.get(name)
  if (text === null || text === '') return otherwise
  const value = Number(text)
  if (!Number.isInteger(value) || value < least || value > most) {
    throw invalidProperty(name, `Expected an integer from ${least} to ${most}`)
  }
  return value
}

/** The database of a name. @throws Error when there is none */
export function named(records: Records, name: string): DatabaseRecord {
  const record = records.find(name)
  if (record === undefined) throw new Error(`The emulator has no database ${name}`)
  return record
}

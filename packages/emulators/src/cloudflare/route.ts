import type { Reply } from '../http.ts'
import type { Call } from './call.ts'
import { databaseNotFound, invalidProperty } from './envelope.ts'
import type { Files } from './files.ts'
import type { DatabaseRecord, Records } from './records.ts'
import type { Storage } from './storage.ts'

/** The dependencies of the API's routes. */
export interface ApiOptions {
  readonly records: Records
  readonly storage: Storage
  readonly files: Files
  /** Databases an account may have. */
  readonly databaseLimit: number
  readonly now: () => number
}

/** Answers one operation, given the JSON body. */
export type Route = (call: Call, input: Readonly<Record<string, unknown>>) => Reply | Promise<Reply>

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * The database of a path that takes uuids only.
 *
 * @throws ApiError 400 with 7400 for anything but a uuid, 404 with 7404 when there is none
 */
export function findDatabase(records: Records, { parameters }: Call): DatabaseRecord {
  const id = parameters.database ?? ''
  if (!uuid.test(id)) throw invalidProperty('databaseId', 'Invalid uuid')
  const record = records.databases.get(id)
  if (record === undefined) throw databaseNotFound(id)
  return record
}

import { Kysely } from 'kysely'
import { type D1Queries, d1Kysely } from './kysely.ts'

/**
 * The adapters that a factory makes where it is given no `createAdapters`, to build one's own upon.
 *
 * @example
 * const factory = createD1Factory({ accountId, apiToken, createAdapters: (db) => createD1Adapter<Tables>(db) })
 */
export function createD1Adapter<Tables = any>(database: D1Queries): { db: Kysely<Tables> } {
  return { db: new Kysely<Tables>({ dialect: d1Kysely(database) }) }
}

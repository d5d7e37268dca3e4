import type { ErrorMap } from '@tenantry/multi-tenancy/provider'
import type { D1TimeTravel } from '../client/database-info.ts'
import type { D1ProviderOptions } from '../options.ts'
import type { DatabaseRef } from '../types.ts'
import type { RestApi } from './rest-api.ts'

export interface TimeTravelOptions {
  readonly api: Pick<RestApi, 'getBookmark' | 'restore'>
  readonly errors: ErrorMap
  readonly onRestorePoint: D1ProviderOptions['onRestorePoint']
  /** Milliseconds. */
  readonly requestTimeout: number
}

/** @param onDatabaseGone called after a restore: cached data of the database may no longer be true */
export function createTimeTravel(
  database: DatabaseRef,
  options: TimeTravelOptions,
  onDatabaseGone: (() => void) | undefined,
): D1TimeTravel {
  const { api, errors, onRestorePoint, requestTimeout } = options

  async function call<Value>(request: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
    try {
      return await request(AbortSignal.timeout(requestTimeout))
    } catch (error) {
      throw errors.mapError(error)
    }
  }
  const getBookmark = (at?: Date): Promise<string> =>
    call((signal) => api.getBookmark(database.uuid, at?.toISOString(), signal))

  return {
    bookmark: getBookmark,
    async restore(to) {
      if (onRestorePoint !== undefined) {
        const bookmark = await getBookmark()
        await onRestorePoint({ ...database, bookmark, before: 'restore', migrations: [] })
      }
      const target = 'bookmark' in to ? to : { timestamp: to.timestamp.toISOString() }
      const { bookmark, previous } = await call((signal) => api.restore(database.uuid, target, signal))
      onDatabaseGone?.()
      return { bookmark, undo: previous }
    },
  }
}

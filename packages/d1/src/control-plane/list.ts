import type { ListedDatabase } from '@tenantry/multi-tenancy'
import { type D1Api, LARGEST_PAGE } from './rest-api.ts'
import { ApiError } from './strict-fetch.ts'
import type { TenantWorkers } from './tenant-workers.ts'

type List = (
  query: { prefix: string; cursor?: string | undefined },
  signal: AbortSignal,
) => Promise<{ databases: readonly ListedDatabase[]; cursor?: string }>

const WORKERS = 'workers'

/**
 * Databases page by page; after them, where there is a dispatch namespace, one page of the Workers whose database is
 * gone.
 */
export function createListing(options: {
  readonly api: Pick<D1Api, 'list'>
  readonly workers: TenantWorkers | undefined
  readonly pageSize: number
}): List {
  const { api, workers, pageSize } = options

  /** The Workers are read first: whichever has no database afterwards was there before it went. */
  async function leftOver(
    own: TenantWorkers,
    prefix: string,
    signal: AbortSignal,
  ): Promise<ListedDatabase[]> {
    const found = await own.list(prefix, signal)
    if (found.length === 0) return []
    const uuids = new Set<string>()
    for (let page = 1; ; page++) {
      const databases = await api.list(prefix, page, LARGEST_PAGE, signal)
      for (const { uuid } of databases) uuids.add(uuid)
      if (databases.length < LARGEST_PAGE) break
    }
    return found
      .filter(({ uuid }) => !uuids.has(uuid))
      .map((database) => ({ name: database.name, locator: { ...database }, remains: 'script' }))
  }

  return async ({ prefix, cursor = '1' }, signal) => {
    if (cursor === WORKERS) return { databases: workers ? await leftOver(workers, prefix, signal) : [] }
    const page = Number(cursor)
    if (!Number.isInteger(page) || page < 1) throw new ApiError(400, 'Not a cursor of this listing')
    // The service searches anywhere in a name.
    const found = await api.list(prefix, page, pageSize, signal)
    const databases = found
      .filter(({ name }) => name.startsWith(prefix))
      .map((database) => ({ name: database.name, locator: { ...database } }))
    if (found.length >= pageSize) return { databases, cursor: String(page + 1) }
    return workers === undefined ? { databases } : { databases, cursor: WORKERS }
  }
}

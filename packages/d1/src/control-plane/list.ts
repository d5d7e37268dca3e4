import { type ListedDatabase, TenancyError } from '@tenantry/multi-tenancy/provider'
import { toLocator } from '../locator.ts'
import { MAX_PAGE_SIZE, type RestApi } from './rest-api.ts'
import type { TenantWorkers } from './tenant-workers.ts'

type ListDatabases = (
  query: { prefix: string; cursor?: string | undefined },
  signal: AbortSignal,
) => Promise<{ databases: readonly ListedDatabase[]; cursor?: string }>

/** The cursor of the last page, which has the Workers. */
const WORKERS_CURSOR = 'workers'

/** Lists databases page by page; with a dispatch namespace, a last page has the Workers whose database is gone. */
export function createListing(options: {
  readonly api: Pick<RestApi, 'list'>
  readonly workers: TenantWorkers | undefined
  readonly pageSize: number
}): ListDatabases {
  const { api, workers, pageSize } = options

  async function listUuids(prefix: string, signal: AbortSignal): Promise<Set<string>> {
    const uuids = new Set<string>()
    for (let number = 1; ; number++) {
      const page = await api.list(prefix, { number, size: MAX_PAGE_SIZE }, signal)
      for (const { uuid } of page) uuids.add(uuid)
      if (page.length < MAX_PAGE_SIZE) return uuids
    }
  }

  async function listLeftoverWorkers(prefix: string, signal: AbortSignal): Promise<ListedDatabase[]> {
    // Workers are read before databases: a Worker uploaded in between does not appear as a leftover.
    const databases = (await workers?.list(prefix, signal)) ?? []
    if (databases.length === 0) return []
    const uuids = await listUuids(prefix, signal)
    return databases
      .filter(({ uuid }) => !uuids.has(uuid))
      .map((database) => ({ name: database.name, locator: toLocator(database), leftover: 'script' }))
  }

  return async ({ prefix, cursor = '1' }, signal) => {
    if (cursor === WORKERS_CURSOR) return { databases: await listLeftoverWorkers(prefix, signal) }
    const number = Number(cursor)
    if (!Number.isInteger(number) || number < 1) {
      throw new TenancyError('invalid_request', 'The cursor does not belong to this listing')
    }
    const page = await api.list(prefix, { number, size: pageSize }, signal)
    // The API matches anywhere in a name.
    const databases = page
      .filter(({ name }) => name.startsWith(prefix))
      .map((database) => ({ name: database.name, locator: toLocator(database) }))
    if (page.length >= pageSize) return { databases, cursor: String(number + 1) }
    return workers === undefined ? { databases } : { databases, cursor: WORKERS_CURSOR }
  }
}

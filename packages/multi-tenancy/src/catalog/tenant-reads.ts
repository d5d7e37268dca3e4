import type { SelectQueryBuilder } from 'kysely'
import type { TenantId } from '../tenant-id.ts'
import type { TenantFilter, TenantRecord } from '../types/record.ts'
import type { CatalogContext } from './context.ts'
import { retryTransient } from './retry-write.ts'
import { parseTenant } from './rows.ts'
import type { CatalogTables, TenantRow } from './schema.ts'

/** One incarnation of a tenant id. */
export type TenantRef = Pick<TenantRecord, 'id' | 'generation'>

/** The reads of the catalog's tenants; each is one query. */
export interface TenantReads {
  /** The latest incarnation, in any state. */
  latest(id: TenantId): Promise<TenantRecord | undefined>
  /** The latest incarnations of at most 100 ids. An id without a record is absent. */
  getLatestMany(ids: readonly TenantId[]): Promise<Map<TenantId, TenantRecord>>
  get(ref: TenantRef): Promise<TenantRecord | undefined>
  /** The tenant that an operation holds, if the operation still runs. */
  getByOperation(operationId: string): Promise<TenantRecord | undefined>
  /** Ascending by tenant id, the latest incarnation of each. */
  list(filter: TenantFilter, after: string | undefined, limit: number): Promise<TenantRecord[]>
  count(filter: TenantFilter): Promise<number>
  /** Every incarnation, ascending by tenant id and generation. */
  listAll(after: TenantRef | undefined, limit: number): Promise<TenantRecord[]>
  /** The ids of tenants that have a database, or are about to. */
  ids(): Promise<Set<TenantId>>
  /** Tenants with an operation whose lease has expired, the longest expired first. */
  listExpiredLeases(now: number, limit: number): Promise<TenantRecord[]>
  /** Deleted tenants whose retention has ended, the least recently changed first. */
  listPurgeable(now: number, limit: number): Promise<TenantRecord[]>
}

type TenantQuery = SelectQueryBuilder<CatalogTables, 'tenantry_tenants', TenantRow>

export function createTenantReads(catalog: CatalogContext): TenantReads {
  const read = (build: (query: TenantQuery) => TenantQuery): Promise<TenantRow[]> =>
    retryTransient(catalog.environment, async () => {
      const db = await catalog.ready()
      return build(db.selectFrom('tenantry_tenants').selectAll()).execute()
    })
  const readAll = async (build: (query: TenantQuery) => TenantQuery): Promise<TenantRecord[]> =>
    (await read(build)).map(parseTenant)

  return {
    async latest(id) {
      const rows = await read((query) =>
        query.where('tenant_id', '=', id).orderBy('generation', 'desc').limit(1),
      )
      return exactRecord(rows[0], id)
    },
    async getLatestMany(ids) {
      const rows = await read((query) => query.where('tenant_id', 'in', [...ids]).orderBy('generation'))
      const wanted = new Set<string>(ids)
      const records = rows.filter((row) => wanted.has(row.tenant_id)).map(parseTenant)
      // In the order of generations, so the latest of each id overwrites the earlier ones.
      return new Map(records.map((record) => [record.id, record]))
    },
    async get({ id, generation }) {
      const rows = await read((query) =>
        query.where('tenant_id', '=', id).where('generation', '=', generation),
      )
      return exactRecord(rows[0], id)
    },
    async getByOperation(operationId) {
      const [record] = await readAll((query) => query.where('operation_id', '=', operationId))
      return record?.operation?.id === operationId ? record : undefined
    },
    list: (filter, after, limit) =>
      readAll((query) => {
        const matching = applyFilter(query, filter)
        const rest = after === undefined ? matching : matching.where('tenant_id', '>', after)
        return rest.orderBy('tenant_id').limit(limit)
      }),
    async count(filter) {
      const row = await retryTransient(catalog.environment, async () => {
        const db = await catalog.ready()
        const query = db.selectFrom('tenantry_tenants').select(({ fn }) => fn.countAll().as('tenants'))
        return applyFilter(query, filter).executeTakeFirst()
      })
      return Number(row?.tenants ?? 0)
    },
    listAll: (after, limit) =>
      readAll((query) => {
        const rest =
          after === undefined
            ? query
            : query.where(({ eb, and, or }) =>
                or([
                  eb('tenant_id', '>', after.id),
                  and([eb('tenant_id', '=', after.id), eb('generation', '>', after.generation)]),
                ]),
              )
        return rest.orderBy('tenant_id').orderBy('generation').limit(limit)
      }),
    ids: () => readIds(catalog),
    listExpiredLeases: (now, limit) =>
      readAll((query) =>
        query
          .where('operation_id', 'is not', null)
          .where('operation_lease_until', '<=', now)
          .orderBy('operation_lease_until')
          .limit(limit),
      ),
    listPurgeable: (now, limit) =>
      readAll((query) =>
        query
          .where('state', '=', 'deleted')
          .where('operation_id', 'is', null)
          .where('purge_after', '<=', now)
          .orderBy('updated_at')
          .limit(limit),
      ),
  }
}

function readIds({ ready, environment }: CatalogContext): Promise<Set<TenantId>> {
  return retryTransient(environment, async () => {
    const rows = await (await ready())
      .selectFrom('tenantry_tenants')
      .select('tenant_id')
      .where('superseded', '=', 0)
      .where('state', '<>', 'purged')
      .execute()
    return new Set(rows.map(({ tenant_id }) => tenant_id as TenantId))
  })
}

/** Guards against collations that ignore case or trailing blanks. */
function exactRecord(row: TenantRow | undefined, id: TenantId): TenantRecord | undefined {
  return row === undefined || row.tenant_id !== id ? undefined : parseTenant(row)
}

function applyFilter<Output>(
  query: SelectQueryBuilder<CatalogTables, 'tenantry_tenants', Output>,
  { state, idPrefix, createdAfter, createdBefore, placement }: TenantFilter,
): SelectQueryBuilder<CatalogTables, 'tenantry_tenants', Output> {
  let matching = query.where('superseded', '=', 0)
  if (state === undefined) matching = matching.where('state', '<>', 'purged')
  else matching = matching.where('state', 'in', typeof state === 'string' ? [state] : [...state])
  if (idPrefix !== undefined && idPrefix !== '') {
    // Ids consist of a-z, 0-9 and dashes, which all sort before `{`. A range needs no escaping and uses the index.
    matching = matching.where('tenant_id', '>=', idPrefix).where('tenant_id', '<', `${idPrefix}{`)
  }
  if (createdAfter !== undefined) matching = matching.where('created_at', '>=', createdAfter)
  if (createdBefore !== undefined) matching = matching.where('created_at', '<', createdBefore)
  if (placement !== undefined) matching = matching.where('placement', '=', placement)
  return matching
}

import type { Kysely, SelectQueryBuilder } from 'kysely'
import { TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { TenantFilter, TenantRecord, TenantState } from '../types/record.ts'
import type { Environment } from '../util/environment.ts'
import { catalogError } from './connection.ts'
import { recordOf } from './rows.ts'
import type { CatalogTables, TenantRow } from './schema.ts'

/** The catalog's database, once it is ready. */
export type Ready = () => Promise<Kysely<CatalogTables>>

/** Which incarnation of which tenant. */
export type TenantRef = Pick<TenantRecord, 'id' | 'generation'>

/** What must be true of a record for a change to happen to it. */
export interface Guard {
  readonly states?: readonly TenantState[]
  /** The operation under way; `null`: none. */
  readonly operation?: string | null
  readonly revision?: string
}

/** The columns a change may set. */
export type Change = Partial<
  Omit<TenantRow, 'tenant_id' | 'generation' | 'name' | 'revision' | 'created_at' | 'updated_at'>
>

/** The tenants of the catalog: reads, and changes that are each one guarded statement. */
export interface TenantStore {
  /** The latest incarnation, whatever its state. */
  latest(id: TenantId): Promise<TenantRecord | undefined>
  /** The latest incarnations of at most 100 ids, in one query; absent are those that have none. */
  latestOf(ids: readonly TenantId[]): Promise<Map<TenantId, TenantRecord>>
  get(ref: TenantRef): Promise<TenantRecord | undefined>
  /** Writes a new incarnation, unless there is one of that generation; resolves with what is there afterwards. */
  insert(row: TenantRow): Promise<TenantRecord>
  /**
   * Changes a record where the guard holds, and resolves with the record as it is afterwards.
   * `changed` is false where the guard did not hold (or somebody changed the record again at once).
   */
  update(ref: TenantRef, guard: Guard, change: Change): Promise<{ record: TenantRecord; changed: boolean }>
  list(filter: TenantFilter, after: string | undefined, limit: number): Promise<TenantRecord[]>
  count(filter: TenantFilter): Promise<number>
  /** Every incarnation, a page at a time in a fixed order. */
  all(after: TenantRef | undefined, limit: number): Promise<TenantRecord[]>
  /** The ids that have a database or are about to. */
  ids(): Promise<Set<TenantId>>
  /** Tenants that an operation has held since before `time`, the longest first. */
  held(time: number, limit: number): Promise<TenantRecord[]>
  /** Deleted tenants whose retention ended; whichever was tried last comes last. */
  due(now: number, limit: number): Promise<TenantRecord[]>
}

const TRIES = 4

/**
 * Does a write whose reply may be lost: `write` may run several times. Where it does not say itself what became of
 * it, `settled` reads that; told whether the write was `answered`, it resolves with `undefined` to have it repeated.
 *
 * @throws `provider_unavailable` when the database stays away
 */
export async function settle<Value>(
  environment: Environment,
  write: () => Promise<Value | undefined>,
  settled: (answered: boolean) => Promise<Value | undefined>,
): Promise<Value> {
  for (let attempt = 1; ; attempt++) {
    let failure: unknown
    let answered = true
    const answer = await write().catch((error: unknown) => {
      failure = error
      answered = false
      return undefined
    })
    if (answer !== undefined) return answer
    const value = await persist(environment, () => settled(answered))
    if (value !== undefined) return value
    if (attempt >= TRIES) throw catalogError(failure)
    await environment.sleep(25 * 2 ** attempt * (1 + environment.random()))
  }
}

/** Repeats a read, or a write that may be repeated blindly, over short outages. */
export async function persist<Value>(environment: Environment, work: () => Promise<Value>): Promise<Value> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (cause) {
      // An outage need not have a code we know.
      const final = attempt >= TRIES || (cause instanceof TenancyError && !cause.retryable)
      if (final) throw catalogError(cause)
      await environment.sleep(25 * 2 ** attempt * (1 + environment.random()))
    }
  }
}

export function createTenantStore(ready: Ready, environment: Environment): TenantStore {
  const read = <Value>(work: (db: Kysely<CatalogTables>) => Promise<Value>) =>
    persist(environment, async () => work(await ready()))

  async function get({ id, generation }: TenantRef): Promise<TenantRecord | undefined> {
    const row = await read((db) =>
      db
        .selectFrom('tenantry_tenants')
        .selectAll()
        .where('tenant_id', '=', id)
        .where('generation', '=', generation)
        .executeTakeFirst(),
    )
    return exact(row, id)
  }

  return {
    get,
    async latest(id) {
      const row = await read((db) =>
        db
          .selectFrom('tenantry_tenants')
          .selectAll()
          .where('tenant_id', '=', id)
          .orderBy('generation', 'desc')
          .limit(1)
          .executeTakeFirst(),
      )
      return exact(row, id)
    },
    async latestOf(ids) {
      const rows = await read((db) =>
        db
          .selectFrom('tenantry_tenants')
          .selectAll()
          .where('tenant_id', 'in', [...ids])
          .orderBy('generation')
          .execute(),
      )
      const wanted = new Set<string>(ids)
      // The last of an id is the latest.
      const records = rows.filter((row) => wanted.has(row.tenant_id)).map(recordOf)
      return new Map(records.map((record) => [record.id, record]))
    },
    insert(row) {
      const ref = { id: row.tenant_id as TenantId, generation: Number(row.generation) }
      return settle(
        environment,
        async () => {
          await (await ready()).insertInto('tenantry_tenants').values(row).execute()
          return recordOf(row)
        },
        () => get(ref),
      )
    },
    async update(ref, guard, change) {
      const revision = crypto.randomUUID()
      const record = await settle(
        environment,
        async () => {
          const set = { ...change, revision, updated_at: environment.now() }
          let query = (await ready())
            .updateTable('tenantry_tenants')
            .set(set)
            .where('tenant_id', '=', ref.id)
            .where('generation', '=', ref.generation)
          const { states, operation, revision: known } = guard
          if (states !== undefined) query = query.where('state', 'in', [...states])
          if (operation === null) query = query.where('operation_id', 'is', null)
          if (typeof operation === 'string') query = query.where('operation_id', '=', operation)
          if (known !== undefined) query = query.where('revision', '=', known)
          await query.execute()
          return undefined
        },
        async (answered) => {
          const after = await get(ref)
          // Without an answer it is repeated, unless it can be seen to have happened.
          return answered || after?.revision === revision ? after : undefined
        },
      )
      return { record, changed: record.revision === revision }
    },
    async list(filter, after, limit) {
      const rows = await read((db) => {
        let query = filtered(db.selectFrom('tenantry_tenants').selectAll(), filter)
        if (after !== undefined) query = query.where('tenant_id', '>', after)
        return query.orderBy('tenant_id').limit(limit).execute()
      })
      return rows.map(recordOf)
    },
    async count(filter) {
      const row = await read((db) =>
        filtered(
          db.selectFrom('tenantry_tenants').select(({ fn }) => fn.countAll().as('tenants')),
          filter,
        ).executeTakeFirst(),
      )
      return Number(row?.tenants ?? 0)
    },
    async all(after, limit) {
      const rows = await read((db) => {
        let query = db.selectFrom('tenantry_tenants').selectAll()
        if (after !== undefined) {
          query = query.where(({ eb, and, or }) =>
            or([
              eb('tenant_id', '>', after.id),
              and([eb('tenant_id', '=', after.id), eb('generation', '>', after.generation)]),
            ]),
          )
        }
        return query.orderBy('tenant_id').orderBy('generation').limit(limit).execute()
      })
      return rows.map(recordOf)
    },
    async ids() {
      const rows = await read((db) =>
        db
          .selectFrom('tenantry_tenants')
          .select('tenant_id')
          .where('superseded', '=', 0)
          .where('state', '<>', 'purged')
          .execute(),
      )
      return new Set(rows.map(({ tenant_id }) => tenant_id as TenantId))
    },
    async held(time, limit) {
      const rows = await read((db) =>
        db
          .selectFrom('tenantry_tenants')
          .selectAll()
          .where('operation_id', 'is not', null)
          .where('updated_at', '<=', time)
          .orderBy('updated_at')
          .limit(limit)
          .execute(),
      )
      return rows.map(recordOf)
    },
    async due(now, limit) {
      const rows = await read((db) =>
        db
          .selectFrom('tenantry_tenants')
          .selectAll()
          .where('state', '=', 'deleted')
          .where('operation_id', 'is', null)
          .where('purge_after', '<=', now)
          .orderBy('updated_at')
          .limit(limit)
          .execute(),
      )
      return rows.map(recordOf)
    },
  }
}

/** Where a database was set up to compare otherwise (case, blanks), a row that is not the one asked for is none. */
function exact(row: TenantRow | undefined, id: TenantId): TenantRecord | undefined {
  return row === undefined || row.tenant_id !== id ? undefined : recordOf(row)
}

function filtered<Output>(
  query: SelectQueryBuilder<CatalogTables, 'tenantry_tenants', Output>,
  { state, idPrefix, createdAfter, createdBefore, placement }: TenantFilter,
): SelectQueryBuilder<CatalogTables, 'tenantry_tenants', Output> {
  let narrowed = query.where('superseded', '=', 0)
  if (state === undefined) narrowed = narrowed.where('state', '<>', 'purged')
  else narrowed = narrowed.where('state', 'in', typeof state === 'string' ? [state] : [...state])
  if (idPrefix !== undefined && idPrefix !== '') {
    // Ids are of a-z, 0-9 and dashes, all before `{`; a range needs no escaping and uses the index.
    narrowed = narrowed.where('tenant_id', '>=', idPrefix).where('tenant_id', '<', `${idPrefix}{`)
  }
  if (createdAfter !== undefined) narrowed = narrowed.where('created_at', '>=', createdAfter)
  if (createdBefore !== undefined) narrowed = narrowed.where('created_at', '<', createdBefore)
  if (placement !== undefined) narrowed = narrowed.where('placement', '=', placement)
  return narrowed
}

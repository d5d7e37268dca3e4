import type { TenantId } from '../tenant-id.ts'
import type { Operation, OperationError, StepEvent, TenantRecord } from '../types/record.ts'
import type { CatalogContext } from './context.ts'
import { retryTransient, writeAndConfirm } from './retry-write.ts'
import { parseOperation, parseStep } from './rows.ts'
import type { OperationRow } from './schema.ts'

/** One try of one step of an operation. */
export interface StepRef {
  readonly operationId: string
  readonly attempt: number
  /** Where the step stands in its operation, from 0. */
  readonly position: number
}

/** The history of operations and their steps. The operation under way is in its tenant's record, not here. */
export interface OperationStore {
  /** Writes the operation that holds the tenant into the history, or the attempt of one that is written already. */
  record(holder: TenantRecord, requestKey: string | undefined): Promise<void>
  get(id: string): Promise<Operation | undefined>
  getByRequest(requestKey: string): Promise<Operation | undefined>
  /** Newest first. */
  listOfTenant(
    id: TenantId,
    after: Pick<Operation, 'createdAt' | 'id'> | undefined,
    limit: number,
  ): Promise<Operation[]>
  /** Writes how an operation ended, unless that is written already. */
  finish(id: string, error: OperationError | undefined): Promise<void>
  /** Operations begun before `time` whose end is not written although they no longer hold their tenant. */
  listUnfinished(time: number, limit: number): Promise<Operation[]>
  /** In the order in which the steps began. */
  steps(id: string): Promise<StepEvent[]>
  /** Does nothing where this attempt has begun the step already. */
  beginStep(ref: StepRef, name: string): Promise<void>
  endStep(ref: StepRef, outcome: StepEvent['outcome'], detail?: string): Promise<void>
}

export function createOperationStore(catalog: CatalogContext): OperationStore {
  return { ...createHistory(catalog), ...createStepLog(catalog) }
}

type StepLog = Pick<OperationStore, 'steps' | 'beginStep' | 'endStep'>

function createHistory({ ready, environment }: CatalogContext): Omit<OperationStore, keyof StepLog> {
  const readOne = (column: 'id' | 'request_key', value: string): Promise<OperationRow | undefined> =>
    retryTransient(environment, async () =>
      (await ready())
        .selectFrom('tenantry_operations')
        .selectAll()
        .where(column, '=', value)
        .orderBy('created_at')
        .limit(1)
        .executeTakeFirst(),
    )

  async function setAttempt(id: string, attempt: number): Promise<void> {
    await retryTransient(environment, async () =>
      (await ready())
        .updateTable('tenantry_operations')
        .set({ attempt })
        .where('id', '=', id)
        .where('attempt', '<', attempt)
        .execute(),
    )
  }

  return {
    async record(holder, requestKey) {
      const row = toOperationRow(holder, requestKey, environment.now())
      const written = await writeAndConfirm<OperationRow>(
        environment,
        async () => {
          await (await ready()).insertInto('tenantry_operations').values(row).execute()
          return row
        },
        () => readOne('id', row.id),
      )
      if (Number(written.attempt) < Number(row.attempt)) await setAttempt(row.id, Number(row.attempt))
    },
    async get(id) {
      const row = await readOne('id', id)
      return row?.id === id ? parseOperation(row) : undefined
    },
    async getByRequest(requestKey) {
      const row = await readOne('request_key', requestKey)
      return row?.request_key === requestKey ? parseOperation(row) : undefined
    },
    async listOfTenant(id, after, limit) {
      const rows = await retryTransient(environment, async () => {
        let query = (await ready()).selectFrom('tenantry_operations').selectAll().where('tenant_id', '=', id)
        if (after !== undefined) {
          query = query.where(({ eb, and, or }) =>
            or([
              eb('created_at', '<', after.createdAt),
              and([eb('created_at', '=', after.createdAt), eb('id', '>', after.id)]),
            ]),
          )
        }
        return query.orderBy('created_at', 'desc').orderBy('id').limit(limit).execute()
      })
      return rows.map(parseOperation)
    },
    async finish(id, error) {
      const outcome = {
        state: error === undefined ? 'succeeded' : 'failed',
        error: error === undefined ? null : JSON.stringify(error),
        finished_at: environment.now(),
      }
      await retryTransient(environment, async () =>
        (await ready())
          .updateTable('tenantry_operations')
          .set(outcome)
          .where('id', '=', id)
          .where('state', '=', 'running')
          .execute(),
      )
    },
    async listUnfinished(time, limit) {
      const rows = await retryTransient(environment, async () =>
        (await ready())
          .selectFrom('tenantry_operations')
          .selectAll()
          .where('state', '=', 'running')
          .where('created_at', '<', time)
          .where(({ not, exists, selectFrom }) =>
            not(
              exists(
                selectFrom('tenantry_tenants')
                  .select('tenant_id')
                  .whereRef('tenantry_tenants.operation_id', '=', 'tenantry_operations.id'),
              ),
            ),
          )
          .orderBy('created_at')
          .limit(limit)
          .execute(),
      )
      return rows.map(parseOperation)
    },
  }
}

const MAX_DETAIL = 2_000

function createStepLog({ ready, environment }: CatalogContext): StepLog {
  return {
    async steps(id) {
      const rows = await retryTransient(environment, async () =>
        (await ready())
          .selectFrom('tenantry_operation_steps')
          .selectAll()
          .where('operation_id', '=', id)
          .orderBy('attempt')
          .orderBy('position')
          .execute(),
      )
      return rows.map(parseStep)
    },
    async beginStep({ operationId, attempt, position }, name) {
      const key = { operation_id: operationId, attempt, position }
      const begun = { outcome: 'started', detail: null, started_at: environment.now(), finished_at: null }
      await writeAndConfirm(
        environment,
        async () => {
          await (await ready())
            .insertInto('tenantry_operation_steps')
            .values({ ...key, name, ...begun })
            .execute()
          return true
        },
        async () => {
          const row = await (await ready())
            .selectFrom('tenantry_operation_steps')
            .select('outcome')
            .where('operation_id', '=', operationId)
            .where('attempt', '=', attempt)
            .where('position', '=', position)
            .executeTakeFirst()
          return row === undefined ? undefined : true
        },
      )
    },
    async endStep({ operationId, attempt, position }, outcome, detail) {
      const ended = outcome === 'started' ? {} : { finished_at: environment.now() }
      await retryTransient(environment, async () =>
        (await ready())
          .updateTable('tenantry_operation_steps')
          .set({ outcome, detail: detail?.slice(0, MAX_DETAIL) ?? null, ...ended })
          .where('operation_id', '=', operationId)
          .where('attempt', '=', attempt)
          .where('position', '=', position)
          .execute(),
      )
    },
  }
}

function toOperationRow(
  { id, generation, operation }: TenantRecord,
  requestKey: string | undefined,
  now: number,
): OperationRow {
  if (operation === undefined) throw new Error('The record has no operation under way')
  return {
    id: operation.id,
    tenant_id: id,
    generation,
    kind: operation.kind,
    state: 'running',
    attempt: operation.attempt,
    request_key: requestKey ?? null,
    params: JSON.stringify(operation.params),
    error: null,
    created_at: now,
    finished_at: null,
  }
}

import type { Kysely } from 'kysely'
import type { TenantId } from '../tenant-id.ts'
import type { Operation, OperationError, OperationKind, OperationParams, StepEvent } from '../types/record.ts'
import type { Environment } from '../util/environment.ts'
import { operationOf, stepOf } from './rows.ts'
import type { CatalogTables, OperationRow } from './schema.ts'
import { persist, type Ready, settle } from './tenants.ts'

/** An operation as whoever begins it writes it down. */
export interface NewOperation {
  readonly id: string
  readonly tenantId: TenantId
  readonly generation: number
  readonly kind: OperationKind
  readonly params: OperationParams
  /** The request it answers: no second operation ever has the same key. */
  readonly request?: RequestKey | undefined
  readonly owner: string
  readonly leaseUntil: number
}

/** What makes a repeated request the same request. */
export interface RequestKey {
  readonly key: string
  /** Of everything the request asked for. */
  readonly hash: string
}

/** The recorded operations, their leases and their steps. */
export interface OperationStore {
  /** Writes the intent down. Resolves with `false` when another operation has the request key. */
  insert(operation: NewOperation): Promise<boolean>
  get(id: string): Promise<Operation | undefined>
  byRequest(key: string): Promise<{ operation: Operation; hash: string } | undefined>
  /** Newest first. */
  ofTenant(
    id: TenantId,
    after: Pick<Operation, 'createdAt' | 'id'> | undefined,
    limit: number,
  ): Promise<Operation[]>
  /** Takes over an operation whose lease ended, is this owner's, or was waiting; resolves with it, or `undefined`. */
  claim(operation: Operation, owner: string, until: number): Promise<Operation | undefined>
  /** Prolongs a lease; `false` when it is another runner's by now. */
  renew(id: string, owner: string, until: number): Promise<boolean>
  /** Closes it, whoever runs it: what its tenant's record says is what became of it. */
  finish(id: string, error: OperationError | undefined): Promise<void>
  /** Confirms that an operation which has got its tenant is run by `owner`, also one withdrawn in the meantime. */
  hold(id: string, owner: string, until: number): Promise<Operation | undefined>
  /** Puts an intent aside that did not get its tenant, so far: whoever wrote it may only be slow. */
  withdraw(id: string): Promise<void>
  /** Takes an intent back that cannot get its tenant any more, or was withdrawn long ago. */
  remove(id: string): Promise<void>
  removeWithdrawn(before: number): Promise<void>
  /** Running, but with a lease that ended before `now`; the longest ended first. */
  stuck(now: number, limit: number): Promise<Operation[]>
  steps(id: string): Promise<StepEvent[]>
  /** Where an earlier runner of this attempt wrote it already, it is begun again. */
  beginStep(id: string, attempt: number, position: number, name: string): Promise<void>
  endStep(
    id: string,
    attempt: number,
    position: number,
    outcome: StepEvent['outcome'],
    detail?: string,
  ): Promise<void>
}

const MAX_DETAIL = 2_000

/** The owner of what waits for an executor: the first who comes has it. */
export const WAITING = ''

export function createOperationStore(ready: Ready, environment: Environment): OperationStore {
  const use = <Value>(work: (db: Kysely<CatalogTables>) => Promise<Value>) =>
    persist(environment, async () => work(await ready()))

  async function row(id: string) {
    return use((db) =>
      db.selectFrom('tenantry_operations').selectAll().where('id', '=', id).executeTakeFirst(),
    )
  }
  async function rowOfKey(key: string) {
    return use((db) =>
      db.selectFrom('tenantry_operations').selectAll().where('request_key', '=', key).executeTakeFirst(),
    )
  }

  return {
    insert({ id, tenantId, generation, kind, params, request, owner, leaseUntil }) {
      const values = {
        id,
        tenant_id: tenantId,
        generation,
        kind,
        state: 'running',
        attempt: 1,
        lease_owner: owner,
        lease_until: leaseUntil,
        request_key: request?.key ?? null,
        request_hash: request?.hash ?? null,
        params: JSON.stringify(params),
        error: null,
        created_at: environment.now(),
        finished_at: null,
      }
      return settle(
        environment,
        async () => {
          await (await ready()).insertInto('tenantry_operations').values(values).execute()
          return true
        },
        async () => {
          if ((await row(id)) !== undefined) return true
          return request !== undefined && (await rowOfKey(request.key)) !== undefined ? false : undefined
        },
      )
    },
    async get(id) {
      const found = await row(id)
      return found?.id === id ? operationOf(found) : undefined
    },
    async byRequest(key) {
      const found = await rowOfKey(key)
      if (found?.request_key !== key) return undefined
      return { operation: operationOf(found), hash: found.request_hash ?? '' }
    },
    async ofTenant(id, after, limit) {
      const rows = await use((db) => {
        let query = db
          .selectFrom('tenantry_operations')
          .selectAll()
          .where('tenant_id', '=', id)
          .where('state', '<>', 'withdrawn')
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
      return rows.map(operationOf)
    },
    async claim(operation, owner, until) {
      const attempt = operation.attempt + 1
      const isMine = (row: OperationRow | undefined) =>
        row?.lease_owner === owner && Number(row.attempt) === attempt
      const after = await settle<OperationRow | null>(
        environment,
        async () => {
          await (await ready())
            .updateTable('tenantry_operations')
            .set({ state: 'running', lease_owner: owner, lease_until: until, attempt })
            .where('id', '=', operation.id)
            .where('state', 'in', ['running', 'withdrawn'])
            .where('attempt', '=', operation.attempt)
            .where(({ or, eb }) =>
              or([eb('lease_until', '<=', environment.now()), eb('lease_owner', 'in', [owner, WAITING])]),
            )
            .execute()
          return undefined
        },
        async (answered) => {
          const after = await row(operation.id)
          // Taken back meanwhile, it is nobody's to run.
          return answered || isMine(after) ? (after ?? null) : undefined
        },
      )
      return after !== null && isMine(after) ? operationOf(after) : undefined
    },
    async renew(id, owner, until) {
      return settle(
        environment,
        async () => {
          const { numUpdatedRows } = await (await ready())
            .updateTable('tenantry_operations')
            .set({ lease_until: until })
            .where('id', '=', id)
            .where('lease_owner', '=', owner)
            .where('state', '=', 'running')
            .executeTakeFirst()
          return numUpdatedRows > 0n ? true : undefined
        },
        async (answered) => {
          const after = await row(id)
          const mine = after?.lease_owner === owner && after.state === 'running'
          return answered || !mine || Number(after.lease_until) === until ? mine : undefined
        },
      )
    },
    async finish(id, error) {
      const set = {
        state: error === undefined ? 'succeeded' : 'failed',
        error: error === undefined ? null : JSON.stringify(error),
        finished_at: environment.now(),
      }
      await use((db) =>
        db
          .updateTable('tenantry_operations')
          .set(set)
          .where('id', '=', id)
          .where('state', '=', 'running')
          .execute(),
      )
    },
    async hold(id, owner, until) {
      const held = await settle<OperationRow | null>(
        environment,
        async () => {
          await (await ready())
            .updateTable('tenantry_operations')
            .set({ state: 'running', lease_owner: owner, lease_until: until })
            .where('id', '=', id)
            .where(({ or, and, eb }) =>
              or([
                eb('state', '=', 'withdrawn'),
                and([eb('state', '=', 'running'), eb('lease_owner', '=', owner)]),
              ]),
            )
            .execute()
          return undefined
        },
        async (answered) => {
          const after = await row(id)
          const mine = after?.lease_owner === owner && after.state === 'running'
          const open = mine ? Number(after.lease_until) !== until : after?.state === 'withdrawn'
          return answered || !open ? (after ?? null) : undefined
        },
      )
      return held?.lease_owner === owner && held.state === 'running' ? operationOf(held) : undefined
    },
    async withdraw(id) {
      await use((db) =>
        db
          .updateTable('tenantry_operations')
          .set({ state: 'withdrawn', lease_owner: '', lease_until: 0 })
          .where('id', '=', id)
          .where('state', '=', 'running')
          .execute(),
      )
    },
    async remove(id) {
      await use((db) => db.deleteFrom('tenantry_operations').where('id', '=', id).execute())
    },
    async removeWithdrawn(before) {
      await use((db) =>
        db
          .deleteFrom('tenantry_operations')
          .where('state', '=', 'withdrawn')
          .where('created_at', '<', before)
          .where(({ not, exists, selectFrom }) =>
            not(
              exists(
                selectFrom('tenantry_tenants')
                  .select('tenant_id')
                  .whereRef('tenantry_tenants.operation_id', '=', 'tenantry_operations.id'),
              ),
            ),
          )
          .execute(),
      )
    },
    async stuck(now, limit) {
      const rows = await use((db) =>
        db
          .selectFrom('tenantry_operations')
          .selectAll()
          .where('state', '=', 'running')
          .where('lease_until', '<=', now)
          .orderBy('lease_until')
          .limit(limit)
          .execute(),
      )
      return rows.map(operationOf)
    },
    async steps(id) {
      const rows = await use((db) =>
        db
          .selectFrom('tenantry_operation_steps')
          .selectAll()
          .where('operation_id', '=', id)
          .orderBy('attempt')
          .orderBy('position')
          .execute(),
      )
      return rows.map(stepOf)
    },
    async beginStep(id, attempt, position, name) {
      const key = { operation_id: id, attempt, position }
      const begun = { outcome: 'started', detail: null, started_at: environment.now(), finished_at: null }
      await settle(
        environment,
        async () => {
          await (await ready())
            .insertInto('tenantry_operation_steps')
            .values({ ...key, name, ...begun })
            .execute()
          return true
        },
        async () => {
          const row = await use((db) =>
            db
              .selectFrom('tenantry_operation_steps')
              .select('outcome')
              .where('operation_id', '=', id)
              .where('attempt', '=', attempt)
              .where('position', '=', position)
              .executeTakeFirst(),
          )
          return row === undefined ? undefined : true
        },
      )
    },
    async endStep(id, attempt, position, outcome, detail) {
      await use((db) =>
        db
          .updateTable('tenantry_operation_steps')
          .set({
            outcome,
            detail: detail === undefined ? null : detail.slice(0, MAX_DETAIL),
            ...(outcome === 'started' ? {} : { finished_at: environment.now() }),
          })
          .where('operation_id', '=', id)
          .where('attempt', '=', attempt)
          .where('position', '=', position)
          .execute(),
      )
    },
  }
}

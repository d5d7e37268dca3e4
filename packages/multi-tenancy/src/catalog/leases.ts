import type { RunningOperation, TenantRecord } from '../types/record.ts'
import type { CatalogContext } from './context.ts'
import { writeAndConfirm } from './retry-write.ts'
import type { TenantReads, TenantRef } from './tenant-reads.ts'

/** The leases of operations under way, which are columns of their tenants' rows. */
export interface TenantLeases {
  /** Renews a lease. Resolves with `false` when another runner holds the operation, or it has ended. */
  renewLease(ref: TenantRef, operation: RunningOperation, until: number): Promise<boolean>
  /**
   * Takes over an operation whose lease has expired, that waits for an executor, or that `owner` ran before. Resolves
   * with the record under the new lease, or with `undefined` when another runner holds the operation.
   */
  takeOver(record: TenantRecord, owner: string, until: number): Promise<TenantRecord | undefined>
}

/** The owner of an operation that waits for an executor. */
export const WAITING = ''

export function createLeases(
  { ready, environment }: CatalogContext,
  reads: Pick<TenantReads, 'get'>,
): TenantLeases {
  return {
    renewLease(ref, { id, owner }, until) {
      return writeAndConfirm(
        environment,
        async () => {
          const { numUpdatedRows } = await (await ready())
            .updateTable('tenantry_tenants')
            .set({ operation_lease_until: until })
            .where('tenant_id', '=', ref.id)
            .where('generation', '=', ref.generation)
            .where('operation_id', '=', id)
            .where('operation_owner', '=', owner)
            .executeTakeFirst()
          // MySQL counts changed rows: a lease that already ends then counts as 0 and is read back.
          return numUpdatedRows > 0n ? true : undefined
        },
        async (answered) => {
          const running = (await reads.get(ref))?.operation
          const owned = running?.id === id && running.owner === owner
          return answered || !owned || running.leaseUntil === until ? owned : undefined
        },
      )
    },
    async takeOver(record, owner, until) {
      const { operation } = record
      if (operation === undefined) return undefined
      const attempt = operation.attempt + 1
      const isTaken = (after: TenantRecord | undefined): boolean =>
        after?.operation?.id === operation.id &&
        after.operation.owner === owner &&
        after.operation.attempt === attempt
      const after = await writeAndConfirm<TenantRecord | null>(
        environment,
        async () => {
          await (await ready())
            .updateTable('tenantry_tenants')
            .set({ operation_owner: owner, operation_lease_until: until, operation_attempt: attempt })
            .where('tenant_id', '=', record.id)
            .where('generation', '=', record.generation)
            .where('operation_id', '=', operation.id)
            .where('operation_attempt', '=', operation.attempt)
            .where(({ or, eb }) =>
              or([
                eb('operation_lease_until', '<=', environment.now()),
                eb('operation_owner', 'in', [owner, WAITING]),
              ]),
            )
            .execute()
          return undefined
        },
        async (answered) => {
          const current = await reads.get(record)
          return answered || isTaken(current) ? (current ?? null) : undefined
        },
      )
      return after !== null && isTaken(after) ? after : undefined
    },
  }
}

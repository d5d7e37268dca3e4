import type { RunningOperation, TenantRecord, TenantState } from '../types/record.ts'
import type { CatalogContext } from './context.ts'
import { createLeases, type TenantLeases } from './leases.ts'
import { writeAndConfirm } from './retry-write.ts'
import { parseTenant, type TenantChanges, toColumns, toRow } from './rows.ts'
import { createTenantReads, type TenantReads, type TenantRef } from './tenant-reads.ts'

/** What must be true of a record for a change to apply. */
export interface Guard {
  readonly states?: readonly TenantState[]
  /** The operation that holds the tenant, run by this owner; `null`: no operation. */
  readonly operation?: Pick<RunningOperation, 'id' | 'owner'> | null
  readonly revision?: string
}

/** The tenants of the catalog: reads, and changes that are one guarded statement each. */
export interface TenantStore extends TenantReads, TenantLeases {
  /** Inserts a new incarnation unless its generation exists. Resolves with the record as it is afterwards. */
  insert(record: TenantRecord): Promise<TenantRecord>
  /**
   * Changes a record where the guard holds. Resolves with the record as it is afterwards; `changed` is false where the
   * guard did not hold, or another change followed before the record was read back.
   */
  update(
    ref: TenantRef,
    guard: Guard,
    changes: TenantChanges,
  ): Promise<{ record: TenantRecord; changed: boolean }>
}

export function createTenantStore(catalog: CatalogContext): TenantStore {
  const { ready, environment } = catalog
  const reads = createTenantReads(catalog)

  return {
    ...reads,
    insert(record) {
      return writeAndConfirm(
        environment,
        async () => {
          await (await ready()).insertInto('tenantry_tenants').values(toRow(record)).execute()
          return parseTenant(toRow(record))
        },
        () => reads.get(record),
      )
    },
    async update(ref, { states, operation, revision: known }, changes) {
      const revision = crypto.randomUUID()
      const record = await writeAndConfirm(
        environment,
        async () => {
          let query = (await ready())
            .updateTable('tenantry_tenants')
            .set({ ...toColumns(changes), revision, updated_at: environment.now() })
            .where('tenant_id', '=', ref.id)
            .where('generation', '=', ref.generation)
          if (states !== undefined) query = query.where('state', 'in', [...states])
          if (operation === null) query = query.where('operation_id', 'is', null)
          else if (operation !== undefined) {
            query = query
              .where('operation_id', '=', operation.id)
              .where('operation_owner', '=', operation.owner)
          }
          if (known !== undefined) query = query.where('revision', '=', known)
          await query.execute()
          return undefined
        },
        async (answered) => {
          const after = await reads.get(ref)
          // A write without a response is repeated unless its own revision is there.
          return answered || after?.revision === revision ? after : undefined
        },
      )
      return { record, changed: record.revision === revision }
    },
    ...createLeases(catalog, reads),
  }
}

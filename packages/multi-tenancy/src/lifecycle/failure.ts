import type { TenantChanges } from '../catalog/rows.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import { connectVerified } from '../database/connect.ts'
import { FOREIGN } from '../database/destroy.ts'
import { readStamp } from '../database/identity.ts'
import { PLANS } from '../database/plans.ts'
import { createDatabaseSession, toLocatedDatabase } from '../database/session.ts'
import { STEPS } from '../database/steps.ts'
import type { TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { RunningOperation, TenantRecord } from '../types/record.ts'
import { STATE_AFTER_FAILURE } from './transitions.ts'

type HeldTenant = TenantRecord & { readonly operation: RunningOperation }

/** What changes of a tenant's record because its operation failed. */
export async function stateAfterFailure<Client, Adapters>(
  context: FactoryContext<Client, Adapters>,
  tenants: TenantStore,
  holder: HeldTenant,
  error: TenancyError,
): Promise<TenantChanges> {
  const { kind, params } = holder.operation
  const record = await tenants.get(holder)
  // The tenant was restored before a later step failed: the next operation closes its access again.
  if (kind === 'undelete' && (record?.state === 'active' || record?.state === 'suspended')) return {}
  if ((kind === 'migrate' || kind === 'resume') && record !== undefined) {
    if (await isLeftDirty(context, record, error)) return { state: 'failed' }
  }
  const state = STATE_AFTER_FAILURE[kind] ?? params.from
  return state === undefined ? {} : { state }
}

/**
 * Whether a failed migration left the database half changed: then no process may serve it. The error alone does not
 * say so, because a statement fails alike before and after a change. In doubt, DDL that cannot be undone counts.
 */
async function isLeftDirty<Client, Adapters>(
  { provider, steps, onIdentityMismatch }: FactoryContext<Client, Adapters>,
  record: TenantRecord,
  { code }: TenancyError,
): Promise<boolean> {
  if (code !== 'migration_failed') return code === 'migration_dirty'
  const { dialect, transactionalDdl } = provider.capabilities
  try {
    const stamp = await steps(record.id)('inspect', async (call) => {
      const options = {
        provider,
        tenantId: record.id,
        database: toLocatedDatabase(record),
        purpose: 'manage',
        onIdentityMismatch: onIdentityMismatch(record.id, record),
      } as const
      const { client } = await connectVerified(options, call)
      return readStamp(dialect, (read) => provider.query(client, read))
    })
    return (stamp?.dirty ?? null) !== null
  } catch {
    return !transactionalDdl
  }
}

/** Closes access again where the failed operation had opened it only for its own steps. */
export async function closeAfterFailure<Client, Adapters>(
  context: FactoryContext<Client, Adapters>,
  tenants: TenantStore,
  holder: HeldTenant,
  { error, changes }: { readonly error: TenancyError; readonly changes: TenantChanges },
): Promise<void> {
  const { id, kind } = holder.operation
  if (!PLANS[kind].includes('openAccess') || FOREIGN.has(error.code)) return
  const record = await tenants.get(holder)
  const state = changes.state ?? record?.state
  if (record?.operation?.id !== id || (state !== 'suspended' && state !== 'deleted')) return
  const input = {
    context,
    session: createDatabaseSession(context),
    target: record,
    retention: 0,
    hooks: {},
    report: () => {},
  }
  // The operation has failed already; an error of closing must not replace its error.
  await STEPS.closeAccess(input).catch(() => {})
}

import type { OperationStore } from '../catalog/operations.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import { TenancyError } from '../errors.ts'
import type { SweepOptions, SweepReport } from '../types/lifecycle.ts'
import type { Environment } from '../util/environment.ts'
import { requireHeld } from './join.ts'
import type { Operations } from './operations.ts'
import { completeHistory } from './outcome.ts'
import type { Reconciler } from './reconcile.ts'

interface SweepParts {
  readonly context: { readonly environment: Environment }
  readonly tenants: TenantStore
  readonly operations: OperationStore
  readonly runner: Operations
  readonly reconciler: Reconciler
  readonly leaseTtl: number
}

/** Finishes operations whose lease has expired, completes the history, and purges tenants whose retention has ended. */
export async function sweep(
  { context, tenants, operations, runner, reconciler, leaseTtl }: SweepParts,
  { limit = 50 }: SweepOptions = {},
): Promise<SweepReport> {
  const now = context.environment.now()
  const finished = []
  for (const record of await tenants.listExpiredLeases(now, limit)) {
    const { operation, id: tenantId } = requireHeld(record)
    // An operation that cannot be finished must not keep the others waiting.
    const outcome = await runner
      .takeOver(record)
      .catch((cause: unknown) => ({ error: TenancyError.from(cause) }))
    if (outcome === 'lost') continue
    const { id, kind } = operation
    finished.push({ id, kind, tenantId, ...(outcome.error && { error: outcome.error }) })
  }
  await completeHistory({ tenants, operations }, now - leaseTtl, limit)
  return { finished, purged: await reconciler.purgeDue(limit) }
}

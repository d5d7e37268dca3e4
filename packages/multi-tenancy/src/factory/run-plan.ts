import type { DatabaseContext, TenantTarget } from '../database/context.ts'
import { PLANS, type PlanName } from '../database/plans.ts'
import { createDatabaseSession } from '../database/session.ts'
import { HOOK_STEPS, STEPS } from '../database/steps.ts'
import type { TenantId } from '../tenant-id.ts'

/** What a plan came to: the target with all changes, and the detail of each step that had one. */
export interface PlanResult {
  readonly target: TenantTarget
  readonly details: ReadonlyMap<string, string>
}

/** The target of a tenant that no catalog records. */
export function unrecordedTarget(
  id: TenantId,
  name: string,
  locator?: TenantTarget['locator'],
): TenantTarget {
  return {
    id,
    generation: 1,
    uid: undefined,
    name,
    locator,
    placement: undefined,
    state: 'provisioning',
    schemaVersion: undefined,
    readyAt: undefined,
    deletedFrom: undefined,
  }
}

/**
 * Runs the steps of a plan in this process without recording them: what a factory without a catalog does. The hook steps
 * are left out, because without a catalog the caller runs its hooks around the plan.
 */
export async function runPlan<Client, Adapters>(
  context: DatabaseContext<Client, Adapters>,
  plan: PlanName,
  start: TenantTarget,
): Promise<PlanResult> {
  const session = createDatabaseSession(context, { marksReadyWithStamp: true })
  const details = new Map<string, string>()
  let target = start
  for (const name of PLANS[plan]) {
    if ((HOOK_STEPS as readonly string[]).includes(name)) continue
    const result = await STEPS[name]({
      context,
      session,
      target,
      retention: 0,
      hooks: {},
      report: () => {},
    })
    target = { ...target, ...result.changes }
    if (result.detail !== undefined) details.set(name, result.detail)
  }
  // Without a record the uid is known from the stamp alone.
  return { target: { ...target, uid: target.uid ?? session.stamp?.uid }, details }
}

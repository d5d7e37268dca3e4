import type { DatabaseContext, TenantTarget } from '../database/context.ts'
import { INLINE_STEPS } from '../database/inline-steps.ts'
import { type InlineStep, PLANS, type PlanName, type StepName } from '../database/plans.ts'
import { createDatabaseSession } from '../database/session.ts'
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
 * Runs the steps of a plan in this process without recording them: what a factory without a catalog does. Steps that need
 * a record are left out, and hooks too: without a catalog the caller runs its hooks around the plan.
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
    if (!isInline(name)) continue
    const result = await INLINE_STEPS[name]({
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

function isInline(name: StepName): name is InlineStep {
  return name in INLINE_STEPS
}

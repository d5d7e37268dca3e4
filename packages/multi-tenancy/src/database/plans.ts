import type { OperationKind } from '../types/record.ts'
import type { StepName } from './steps.ts'

/** An operation on a tenant; `destroy` deletes at once where no catalog keeps a retention. */
export type PlanName = OperationKind | 'destroy'

/**
 * The steps of every operation, in order. With a catalog each step is recorded; without one the same plan runs inline.
 * A hook step is left out where no such hook is attached.
 */
export const PLANS: Readonly<Record<PlanName, readonly StepName[]>> = {
  provision: ['create', 'stamp', 'migrate', 'seed', 'onProvision', 'ready', 'activate', 'afterCreate'],
  migrate: ['migrate', 'activate'],
  suspend: ['closeAccess'],
  resume: ['openAccess', 'migrate', 'activate'],
  deprovision: ['openAccess', 'onDeprovision', 'markDeleted', 'closeAccess', 'delete', 'afterDelete'],
  undelete: ['openAccess', 'unmarkDeleted', 'migrate', 'restore', 'restoreAccess'],
  purge: ['openAccess', 'drop', 'purge'],
  destroy: ['markDeleted', 'drop'],
}

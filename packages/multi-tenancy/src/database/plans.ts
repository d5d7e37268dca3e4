import type { OperationKind } from '../types/record.ts'

/** A step that calls the app's own code. */
export type HookStep = 'onProvision' | 'onDeprovision' | 'afterCreate' | 'afterDelete'

/** A step that needs no record of the tenant. */
export type InlineStep = 'create' | 'stamp' | 'migrate' | 'seed' | 'ready' | 'markDeleted' | 'drop'

export type StepName =
  | InlineStep
  | HookStep
  | 'activate'
  | 'openAccess'
  | 'closeAccess'
  | 'delete'
  | 'unmarkDeleted'
  | 'restore'
  | 'restoreAccess'
  | 'purge'

/** An operation on a tenant; `destroy` deletes immediately where no catalog keeps a retention. */
export type PlanName = OperationKind | 'destroy'

/**
 * The steps of every operation, in order. With a catalog each step is recorded; without one the same plan runs inline,
 * less the steps that need a record. A hook step is left out where no such hook is attached.
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

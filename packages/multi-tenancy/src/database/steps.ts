import type { TenancyError } from '../errors.ts'
import type { OperationHooks } from '../types/lifecycle.ts'
import type { StepInput, StepResult } from './context.ts'
import {
  dropTenantDatabase,
  markDeleted,
  recordDeletion,
  setAccess,
  unmarkDeleted,
} from './deletion-steps.ts'
import { hookError } from './hook-error.ts'
import {
  activate,
  createDatabase,
  markReady,
  migrateDatabase,
  seedDatabase,
  stampDatabase,
} from './provision-steps.ts'

type Input = StepInput<any, any>

/** The steps that call the app's own code. */
export const HOOK_STEPS = ['onProvision', 'onDeprovision', 'afterCreate', 'afterDelete'] as const

export type HookStep = (typeof HOOK_STEPS)[number]

export type StepName =
  | 'create'
  | 'stamp'
  | 'migrate'
  | 'seed'
  | 'ready'
  | 'activate'
  | 'openAccess'
  | 'closeAccess'
  | 'markDeleted'
  | 'delete'
  | 'unmarkDeleted'
  | 'restore'
  | 'restoreAccess'
  | 'drop'
  | 'purge'
  | HookStep

/** What each step does to the tenant's database and to its record. Every step may run again after any failure. */
export const STEPS: Readonly<Record<StepName, (input: Input) => Promise<StepResult>>> = {
  create: createDatabase,
  stamp: stampDatabase,
  migrate: migrateDatabase,
  seed: seedDatabase,
  onProvision: (input: Input) => runHook(input, 'onProvision'),
  ready: markReady,
  activate: (input: Input) => activate(input, 'active'),
  afterCreate: (input: Input) => runAfterHook(input, 'afterCreate'),
  openAccess: (input: Input) => setAccess(input, 'open'),
  closeAccess: (input: Input) => setAccess(input, 'closed'),
  onDeprovision: (input: Input) => runHook(input, 'onDeprovision'),
  markDeleted,
  delete: recordDeletion,
  afterDelete: (input: Input) => runAfterHook(input, 'afterDelete'),
  unmarkDeleted,
  restore: (input: Input) =>
    activate(input, input.target.deletedFrom === 'suspended' ? 'suspended' : 'active'),
  restoreAccess: async (input: Input) =>
    input.target.state === 'suspended' ? setAccess(input, 'closed') : {},
  drop: dropTenantDatabase,
  purge: async (): Promise<StepResult> => ({
    changes: { state: 'purged', locator: undefined, metadata: {}, purgeAfter: undefined },
  }),
}

async function runHook({ hooks, target, report }: Input, name: HookStep): Promise<StepResult> {
  await hooks[name]?.(target.id, { report })
  return {}
}

/** An `after…` hook that throws changes nothing: the operation has already succeeded. */
async function runAfterHook(input: Input, name: 'afterCreate' | 'afterDelete'): Promise<StepResult> {
  try {
    return await runHook(input, name)
  } catch (cause) {
    const error = hookError(cause, input.target.id, name)
    reportHookError(input.hooks, error)
    return { detail: `failed: ${error.detail}` }
  }
}

function reportHookError({ onHookError }: OperationHooks, error: TenancyError): void {
  try {
    onHookError?.(error)
  } catch {
    // An error of the error handler must not fail the operation.
  }
}

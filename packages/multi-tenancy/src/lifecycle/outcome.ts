import type { OperationStore } from '../catalog/operations.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import { PLANS } from '../database/plans.ts'
import { HOOK_STEPS } from '../database/steps.ts'
import type { Operation, OperationError, TenantRecord } from '../types/record.ts'

/** How an operation ended: with this error, or without one. */
export interface OperationOutcome {
  readonly error: OperationError | undefined
}

/**
 * How an operation ended that no longer holds its tenant. Its runner releases the tenant first and writes the history
 * next; after a crash between the two, the outcome is read from the record or from the steps, and written.
 *
 * @param record the tenant's record as it is now
 */
export async function readOutcome(
  { operations }: { readonly operations: OperationStore },
  operationId: string,
  record: TenantRecord | undefined,
): Promise<OperationOutcome> {
  const operation = await operations.get(operationId)
  if (operation !== undefined && operation.state !== 'running') return { error: operation.error }
  if (record?.error?.operation === operationId) return { error: record.error }
  if (operation === undefined) return { error: undefined }
  return readOutcomeFromSteps(operations, operation)
}

/** The record names no error of the operation: it succeeded if its last step did. */
async function readOutcomeFromSteps(
  operations: OperationStore,
  { id, kind }: Operation,
): Promise<OperationOutcome> {
  const events = await operations.steps(id)
  const last = events.at(-1)
  const finalStep = PLANS[kind].findLast((name) => !(HOOK_STEPS as readonly string[]).includes(name))
  const isComplete = events.some(({ step, outcome }) => step === finalStep && outcome === 'succeeded')
  if (isComplete) return { error: undefined }
  const message = (last?.outcome === 'failed' ? last.detail : undefined) ?? 'The operation did not complete'
  return { error: { code: 'internal', message, step: last?.step, operation: id } }
}

/** Writes the end of operations into the history that their runners, which crashed at the very end, did not write. */
export async function completeHistory(
  { tenants, operations }: { readonly tenants: TenantStore; readonly operations: OperationStore },
  before: number,
  limit: number,
): Promise<void> {
  for (const operation of await operations.listUnfinished(before, limit)) {
    const record = await tenants.get({ id: operation.tenantId, generation: operation.generation })
    if (record?.operation?.id === operation.id) continue
    const { error } = await readOutcome({ operations }, operation.id, record)
    await operations.finish(operation.id, error)
  }
}

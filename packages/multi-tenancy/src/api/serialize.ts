import type { Operation, OperationError, StepEvent, TenantRecord } from '../types/record.ts'

/** A tenant in an API response: without locator, physical name and revision. */
export function showTenant(record: TenantRecord): Record<string, unknown> {
  const { id, generation, uid, state, placement, schemaVersion, metadata, error, operation } = record
  return {
    id,
    generation,
    uid,
    state,
    placement: placement ?? null,
    schemaVersion: schemaVersion ?? null,
    metadata,
    error: showError(error),
    operation: operation?.id ?? null,
    lastOperation: record.lastOperation ?? null,
    createdAt: iso(record.createdAt),
    updatedAt: iso(record.updatedAt),
    readyAt: iso(record.readyAt),
    deletedAt: iso(record.deletedAt),
    purgeAfter: iso(record.purgeAfter),
  }
}

/** An operation in an API response: without its parameters. */
export function showOperation(operation: Operation): Record<string, unknown> {
  const { id, tenantId, generation, kind, state, attempt, error, createdAt, finishedAt } = operation
  return {
    id,
    tenantId,
    generation,
    kind,
    state,
    attempt,
    error: showError(error),
    createdAt: iso(createdAt),
    finishedAt: iso(finishedAt),
  }
}

export function showStep(event: StepEvent): Record<string, unknown> {
  const { step, attempt, outcome, detail = null, startedAt, finishedAt } = event
  return { step, attempt, outcome, detail, startedAt: iso(startedAt), finishedAt: iso(finishedAt) }
}

function showError(error: OperationError | undefined): Record<string, unknown> | null {
  if (error === undefined) return null
  const { code, message, step = null, retryAfter = null, operation } = error
  return { code, message, step, retryAfter, operation }
}

/** The last moment a `Date` can represent; a retention may end later. */
const MAX_TIME = 8.64e15

function iso(time: number | undefined): string | null {
  return time === undefined ? null : new Date(Math.min(time, MAX_TIME)).toISOString()
}

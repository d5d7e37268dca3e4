import type { TenantId } from '../tenant-id.ts'
import type { Locator } from '../types/provider.ts'
import type {
  Operation,
  OperationError,
  OperationKind,
  OperationParams,
  StepEvent,
  TenantMetadata,
  TenantRecord,
  TenantState,
} from '../types/record.ts'
import type { OperationRow, StepRow, TenantRow } from './schema.ts'

/** A row of `tenantry_tenants` as values. */
export function recordOf(row: TenantRow): TenantRecord {
  return {
    id: row.tenant_id as TenantId,
    generation: Number(row.generation),
    uid: row.uid,
    name: row.name,
    locator: parse<Locator>(row.locator),
    placement: row.placement ?? undefined,
    state: row.state as TenantState,
    schemaVersion: row.schema_version ?? undefined,
    metadata: parse<TenantMetadata>(row.metadata) ?? {},
    error: parse<OperationError>(row.error),
    operation: row.operation_id ?? undefined,
    lastOperation: row.last_operation_id ?? undefined,
    superseded: Number(row.superseded) !== 0,
    revision: row.revision,
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
    readyAt: time(row.ready_at),
    deletedAt: time(row.deleted_at),
    deletedFrom: (row.deleted_from ?? undefined) as TenantState | undefined,
    purgeAfter: time(row.purge_after),
  }
}

/** A row of `tenantry_operations` as values. */
export function operationOf(row: OperationRow): Operation {
  return {
    id: row.id,
    tenantId: row.tenant_id as TenantId,
    generation: Number(row.generation),
    kind: row.kind as OperationKind,
    state: row.state as Operation['state'],
    attempt: Number(row.attempt),
    leaseUntil: Number(row.lease_until),
    params: parse<OperationParams>(row.params) ?? {},
    error: parse<OperationError>(row.error),
    createdAt: Number(row.created_at),
    finishedAt: time(row.finished_at),
  }
}

/** A row of `tenantry_operation_steps` as values. */
export function stepOf(row: StepRow): StepEvent {
  return {
    attempt: Number(row.attempt),
    step: row.name,
    outcome: row.outcome as StepEvent['outcome'],
    detail: row.detail ?? undefined,
    startedAt: Number(row.started_at),
    finishedAt: time(row.finished_at),
  }
}

function parse<Value>(json: string | null): Value | undefined {
  return json === null ? undefined : (JSON.parse(json) as Value)
}

function time(value: number | string | null): number | undefined {
  return value === null ? undefined : Number(value)
}

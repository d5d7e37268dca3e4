import type { TenantId } from '../tenant-id.ts'
import type { Locator } from '../types/provider.ts'
import type {
  Operation,
  OperationError,
  OperationKind,
  OperationParams,
  RunningOperation,
  StepEvent,
  TenantMetadata,
  TenantRecord,
  TenantState,
} from '../types/record.ts'
import type { OperationRow, StepRow, TenantRow } from './schema.ts'

/** The members of a record that a change may set; `undefined` removes a value. */
export type TenantChanges = {
  readonly [Member in ChangeableMember]?: TenantRecord[Member] | undefined
}

type ChangeableMember =
  | 'uid'
  | 'locator'
  | 'state'
  | 'superseded'
  | 'operation'
  | 'lastOperation'
  | 'schemaVersion'
  | 'metadata'
  | 'error'
  | 'readyAt'
  | 'deletedAt'
  | 'deletedFrom'
  | 'purgeAfter'

type TenantColumns = Partial<Omit<TenantRow, 'tenant_id' | 'generation' | 'name' | 'revision'>>

/** How each member of a record is written. `undefined` is SQL's NULL. */
const COLUMNS: { readonly [Member in ChangeableMember]: (value: TenantRecord[Member]) => TenantColumns } = {
  uid: (uid) => ({ uid }),
  locator: (locator) => ({ locator: json(locator) }),
  state: (state) => ({ state }),
  superseded: (superseded) => ({ superseded: superseded ? 1 : 0 }),
  operation: (operation) => ({
    operation_id: operation?.id ?? null,
    operation_kind: operation?.kind ?? null,
    operation_owner: operation?.owner ?? null,
    operation_lease_until: operation?.leaseUntil ?? null,
    operation_attempt: operation?.attempt ?? null,
    operation_params: json(operation?.params),
  }),
  lastOperation: (id) => ({ last_operation_id: id ?? null }),
  schemaVersion: (version) => ({ schema_version: version ?? null }),
  metadata: (metadata) => ({ metadata: JSON.stringify(metadata) }),
  error: (error) => ({ error: json(error) }),
  readyAt: (time) => ({ ready_at: time ?? null }),
  deletedAt: (time) => ({ deleted_at: time ?? null }),
  deletedFrom: (state) => ({ deleted_from: state ?? null }),
  purgeAfter: (time) => ({ purge_after: time ?? null }),
}

/** The columns of a change. */
export function toColumns(changes: TenantChanges): TenantColumns {
  const columns = Object.entries(changes).map(([member, value]) =>
    (COLUMNS[member as ChangeableMember] as (value: unknown) => TenantColumns)(value),
  )
  return Object.assign({}, ...columns)
}

/** The row of a new record. */
export function toRow(record: TenantRecord): TenantRow {
  const { id, generation, uid, name, locator, placement, state, schemaVersion, metadata, error } = record
  const { operation, lastOperation, superseded, readyAt, deletedAt, deletedFrom, purgeAfter } = record
  const changes = {
    ...{ uid, locator, state, superseded, operation, lastOperation, schemaVersion, metadata, error },
    ...{ readyAt, deletedAt, deletedFrom, purgeAfter },
  }
  return {
    tenant_id: id,
    generation,
    name,
    placement: placement ?? null,
    revision: record.revision,
    created_at: record.createdAt,
    updated_at: record.updatedAt,
    ...toColumns(changes),
  } as TenantRow
}

/** A row of `tenantry_tenants` as values. */
export function parseTenant(row: TenantRow): TenantRecord {
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
    operation: parseRunningOperation(row),
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

function parseRunningOperation(row: TenantRow): RunningOperation | undefined {
  if (row.operation_id === null) return undefined
  return {
    id: row.operation_id,
    kind: row.operation_kind as OperationKind,
    owner: row.operation_owner ?? '',
    leaseUntil: Number(row.operation_lease_until ?? 0),
    attempt: Number(row.operation_attempt ?? 1),
    params: parse<OperationParams>(row.operation_params) ?? {},
  }
}

/** A row of `tenantry_operations` as values. */
export function parseOperation(row: OperationRow): Operation {
  return {
    id: row.id,
    tenantId: row.tenant_id as TenantId,
    generation: Number(row.generation),
    kind: row.kind as OperationKind,
    state: row.state as Operation['state'],
    attempt: Number(row.attempt),
    params: parse<OperationParams>(row.params) ?? {},
    error: parse<OperationError>(row.error),
    createdAt: Number(row.created_at),
    finishedAt: time(row.finished_at),
  }
}

/** A row of `tenantry_operation_steps` as values. */
export function parseStep(row: StepRow): StepEvent {
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

function json(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value)
}

import { WAITING } from '../catalog/leases.ts'
import type { OperationStore } from '../catalog/operations.ts'
import type { TenantChanges } from '../catalog/rows.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { TenantId } from '../tenant-id.ts'
import type { OperationHooks, OperationOptions } from '../types/lifecycle.ts'
import type {
  OperationKind,
  OperationParams,
  RunningOperation,
  TenantRecord,
  TenantState,
} from '../types/record.ts'
import { toOperationId } from './request-key.ts'
import type { HeldTenant } from './runner.ts'

/** What an operation begins with. */
export interface Intent {
  /** The record it begins on; `undefined`: it begins with a new incarnation. */
  readonly from: TenantRecord | undefined
  /** The states that the record may have. @default any */
  readonly states?: readonly TenantState[]
  readonly changes?: TenantChanges
  readonly params?: OperationParams
  /** The incarnation that the new one replaces. */
  readonly previous?: TenantRecord | undefined
}

interface BeginParts<Client, Adapters> {
  readonly context: FactoryContext<Client, Adapters>
  readonly tenants: TenantStore
  readonly operations: OperationStore
  readonly leaseTtl: number
  readonly executor: ((operationId: string) => Promise<void>) | undefined
  readonly hooks: () => OperationHooks | undefined
}

interface BeginRequest {
  readonly id: TenantId
  readonly kind: OperationKind
  readonly intent: Intent
  readonly options: OperationOptions
}

/**
 * Begins an operation: one compare-and-set on the tenant's row, or the insertion of a new row, takes the tenant and
 * stores everything that another runner needs. Resolves with `undefined` when another caller was faster.
 */
export async function beginOperation<Client, Adapters>(
  parts: BeginParts<Client, Adapters>,
  { id, kind, intent, options }: BeginRequest,
): Promise<HeldTenant | undefined> {
  const { context, tenants, operations, leaseTtl, executor, hooks } = parts
  const { from, previous, states, changes } = intent
  const { request } = options
  const params: OperationParams = {
    ...intent.params,
    ...(from && { from: from.state }),
    ...(options.hooks && hooks() !== undefined && { hooks: true }),
    ...(request && { requestHash: request.hash }),
  }
  if (previous !== undefined && !previous.superseded && !(await supersede(tenants, previous)))
    return undefined
  const operation: RunningOperation = {
    id: request === undefined ? crypto.randomUUID() : await toOperationId(id, request.key),
    kind,
    owner: executor === undefined ? crypto.randomUUID() : WAITING,
    leaseUntil: context.environment.now() + leaseTtl,
    attempt: 1,
    params,
  }
  const lock = { operation, lastOperation: operation.id }
  const record =
    from === undefined
      ? await tenants.insert(await newRecord(context, { id, intent, lock }))
      : await takeTenant(tenants, from, { states, changes: { ...changes, ...lock } })
  context.forget(id)
  const current = record.operation
  if (current?.id !== operation.id || current.owner !== operation.owner) return undefined
  const holder = { ...record, operation: current }
  await operations.record(holder, request?.key)
  return holder
}

/** One CAS on the previous incarnation: of a concurrent undelete and re-provision exactly one wins. */
async function supersede(tenants: TenantStore, previous: TenantRecord): Promise<boolean> {
  const guard = {
    states: ['deleted', 'purged'] as const,
    operation: null,
    revision: previous.revision,
  }
  const { record } = await tenants.update(previous, guard, { superseded: true })
  return record.superseded
}

async function takeTenant(
  tenants: TenantStore,
  from: TenantRecord,
  { states, changes }: { readonly states: Intent['states']; readonly changes: TenantChanges },
): Promise<TenantRecord> {
  const guard = { operation: null, revision: from.revision, ...(states && { states }) }
  const { record } = await tenants.update(from, guard, changes)
  return record
}

interface NewRecordOptions {
  readonly id: TenantId
  readonly intent: Intent
  readonly lock: Pick<TenantRecord, 'operation' | 'lastOperation'>
}

async function newRecord<Client, Adapters>(
  { environment, nameTenant }: FactoryContext<Client, Adapters>,
  { id, intent: { previous, params }, lock }: NewRecordOptions,
): Promise<TenantRecord> {
  const generation = (previous?.generation ?? 0) + 1
  const now = environment.now()
  return {
    id,
    generation,
    uid: crypto.randomUUID(),
    name: await nameTenant(id, generation),
    locator: undefined,
    placement: params?.placement,
    state: 'provisioning',
    superseded: false,
    schemaVersion: undefined,
    metadata: params?.metadata ?? {},
    error: undefined,
    revision: crypto.randomUUID(),
    createdAt: now,
    updatedAt: now,
    readyAt: undefined,
    deletedAt: undefined,
    deletedFrom: undefined,
    purgeAfter: undefined,
    ...lock,
  }
}

import type { OperationStore } from '../catalog/operations.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import { TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { TenantId } from '../tenant-id.ts'
import type { OperationHooks, OperationOptions, RunOptions, StepRunner } from '../types/lifecycle.ts'
import type { Operation, OperationKind, TenantRecord } from '../types/record.ts'
import type { Intent } from './begin.ts'
import { conflict, operationInProgress } from './conflict.ts'
import { readOutcome } from './outcome.ts'
import { toOperationId } from './request-key.ts'
import { type HeldTenant, type Outcome, type Runner, toTenancyError } from './runner.ts'

/** The record where nothing is left to do, or what to begin with. */
export type Decision = { readonly done: TenantRecord | undefined } | { readonly begin: Intent }

export interface OperationsOptions<Client, Adapters> {
  readonly context: FactoryContext<Client, Adapters>
  readonly tenants: TenantStore
  readonly operations: OperationStore
  readonly runner: Runner
  /** Milliseconds; see `RunnerOptions`. */
  readonly leaseTtl: number
  /** Milliseconds to wait for an operation that another process runs. */
  readonly waitTimeout: number
  readonly executor: ((operationId: string) => Promise<void>) | undefined
  readonly hooks: () => OperationHooks | undefined
}

/** What to do to a tenant. */
export interface OperationRequest {
  readonly id: TenantId
  readonly kind: OperationKind
  /** Called with the latest record, again after each lost race. */
  readonly decide: (record: TenantRecord | undefined) => Decision
  readonly options: OperationOptions
  /** Rejects the call instead of joining a running operation of the same kind. @default false */
  readonly exclusive?: boolean
}

export interface OperationResult {
  readonly record: TenantRecord | undefined
  /** Absent where nothing was left to do. */
  readonly operationId: string | undefined
}

/** What beginning, joining and taking over share. */
export interface OperationParts<Client, Adapters> extends OperationsOptions<Client, Adapters> {
  readonly running: ReadonlyMap<string, Promise<Outcome>>
  runHeld(holder: HeldTenant, step?: StepRunner): Promise<Outcome>
  takeOver(record: TenantRecord, options?: RunOptions): Promise<Outcome>
}

/**
 * What a call does while an operation holds its tenant: it joins the same operation, waits for one that this process
 * runs, or takes over one whose lease has expired. `undefined`: the tenant is to be read again.
 *
 * @throws `conflict` where none of that applies
 */
export async function waitForHolder<Client, Adapters>(
  parts: OperationParts<Client, Adapters>,
  { id, kind, options, exclusive = false }: OperationRequest,
  holder: HeldTenant,
  deadline: number,
): Promise<OperationResult | undefined> {
  const { environment } = parts.context
  const { operation } = holder
  const { request, wait = true } = options
  if (request !== undefined && operation.id === (await toOperationId(id, request.key))) {
    requireSameRequest(operation.params.requestHash, request.hash, id)
    return wait ? join(parts, holder, deadline) : { record: holder, operationId: operation.id }
  }
  if (operation.kind === kind && !exclusive && request === undefined) {
    return wait ? join(parts, holder, deadline) : { record: holder, operationId: operation.id }
  }
  if (operation.leaseUntil <= environment.now() && parts.executor === undefined) {
    if ((await parts.takeOver(holder)) !== 'lost') return undefined
    if (environment.now() >= deadline) throw operationInProgress(operation.kind, id)
    await environment.sleep(200 * (0.5 + environment.random()))
    return undefined
  }
  const own = parts.running.get(operation.id)
  if (own === undefined || operation.kind !== kind || exclusive) throw operationInProgress(operation.kind, id)
  await own
  return undefined
}

/** Answers a request whose key was used before: like the first time, where it is the same request. */
export async function repeatRequest<Client, Adapters>(
  parts: OperationParts<Client, Adapters>,
  { id, kind, options: { request, wait = true } }: OperationRequest,
  earlier: Operation,
  deadline: number,
): Promise<OperationResult> {
  const isSame = earlier.tenantId === id && earlier.kind === kind
  requireSameRequest(isSame ? earlier.params.requestHash : undefined, request?.hash ?? '', id)
  const ref = { id: earlier.tenantId, generation: earlier.generation }
  const record = await parts.tenants.get(ref)
  if (record?.operation?.id === earlier.id) {
    return wait ? join(parts, requireHeld(record), deadline) : { record, operationId: earlier.id }
  }
  const { error } = await readOutcome(parts, earlier.id, record)
  if (error !== undefined) throw toTenancyError(error, id)
  parts.context.forget(id)
  return { record, operationId: earlier.id }
}

/** Waits until an operation has ended; takes it over when its lease expires. @throws what the operation failed with */
export async function join<Client, Adapters>(
  parts: OperationParts<Client, Adapters>,
  holder: HeldTenant,
  deadline: number,
): Promise<OperationResult> {
  const { tenants, running, context, executor } = parts
  const { environment } = context
  const { id, kind } = holder.operation
  for (let delay = 20; ; delay = Math.min(delay * 1.5, 500)) {
    await running.get(id)?.catch(() => {})
    const record = await tenants.get(holder)
    if (record?.operation?.id !== id) {
      const { error } = await readOutcome(parts, id, record)
      if (error !== undefined) throw toTenancyError(error, holder.id)
      context.forget(holder.id)
      return { record, operationId: id }
    }
    const isExpired = record.operation.leaseUntil <= environment.now() && executor === undefined
    // One that this process cannot take over (its hooks are attached elsewhere) is waited for.
    if (isExpired && (await parts.takeOver(record)) !== 'lost') continue
    if (environment.now() >= deadline) throw operationInProgress(kind, holder.id)
    await environment.sleep(delay * (0.5 + environment.random()))
  }
}

function requireSameRequest(first: string | undefined, hash: string, id: TenantId): void {
  if (first !== hash) throw conflict('This idempotency key was used for another request', id)
}

/** @throws `internal` for a record that no operation holds */
export function requireHeld(record: TenantRecord): HeldTenant {
  const { operation } = record
  if (operation === undefined) {
    throw new TenancyError('internal', 'The record has no operation under way', { tenantId: record.id })
  }
  return { ...record, operation }
}

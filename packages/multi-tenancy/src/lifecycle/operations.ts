import type { TenantRef } from '../catalog/tenant-reads.ts'
import { TenancyError } from '../errors.ts'
import type { OperationOptions, RunOptions, StepRunner } from '../types/lifecycle.ts'
import type { TenantRecord } from '../types/record.ts'
import { beginOperation } from './begin.ts'
import { conflict } from './conflict.ts'
import {
  join,
  type OperationParts,
  type OperationRequest,
  type OperationResult,
  type OperationsOptions,
  repeatRequest,
  requireHeld,
  waitForHolder,
} from './join.ts'
import { checkRequestKey, toOperationId } from './request-key.ts'
import type { HeldTenant, Outcome } from './runner.ts'

/** Begins, joins and takes over operations. */
export interface Operations {
  /**
   * Runs an operation, or returns the record when `decide` says that nothing is left to do. Joins a running operation of
   * the same kind, and finishes one whose lease has expired first.
   *
   * @throws `conflict`, what `decide` throws, and what the operation failed with
   */
  run(request: OperationRequest): Promise<OperationResult>
  /**
   * Purges one incarnation, also a superseded one. Resolves with `false` when another operation holds it, or when the
   * purge was only handed to the executor.
   */
  purge(record: TenantRecord): Promise<boolean>
  /** Takes over an operation whose lease has expired, and runs it to its end. */
  takeOver(record: TenantRecord, options?: RunOptions): Promise<Outcome>
}

export function createOperations<Client, Adapters>(options: OperationsOptions<Client, Adapters>): Operations {
  const { context, tenants, runner, leaseTtl, hooks } = options
  const { environment } = context
  /** Operations that this process runs: its other callers wait for them without reading the catalog. */
  const running = new Map<string, Promise<Outcome>>()

  function runHeld(holder: HeldTenant, step?: StepRunner): Promise<Outcome> {
    const promise = runner.run(holder, step)
    if (environment.runtime !== 'node') return promise
    const { id } = holder.operation
    const tracked = promise.finally(() => running.delete(id))
    running.set(id, tracked)
    return tracked
  }

  async function takeOver(record: TenantRecord, { step, owner }: RunOptions = {}): Promise<Outcome> {
    const { operation } = record
    if (operation === undefined) return 'lost'
    // The attached hooks are part of the operation: only a process that has hooks can finish it.
    if (operation.params.hooks === true && hooks() === undefined) return 'lost'
    const newOwner = owner ?? crypto.randomUUID()
    const holder = await tenants.takeOver(record, newOwner, environment.now() + leaseTtl)
    return holder === undefined ? 'lost' : runHeld(requireHeld(holder), step)
  }

  const parts: OperationParts<Client, Adapters> = { ...options, running, runHeld, takeOver }
  return {
    takeOver,
    run: (request) => runOperation(parts, request),
    async purge(record) {
      const intent = { from: record, states: ['deleted'] } as const
      const holder = await beginOperation(parts, { id: record.id, kind: 'purge', intent, options: {} })
      if (holder === undefined) return false
      if (options.executor !== undefined) {
        await handOver(parts, holder)
        return false
      }
      const outcome = await runHeld(holder)
      if (outcome === 'lost') return false
      if (outcome.error !== undefined) throw outcome.error
      return true
    },
  }
}

async function runOperation<Client, Adapters>(
  parts: OperationParts<Client, Adapters>,
  request: OperationRequest,
): Promise<OperationResult> {
  const { context, tenants, operations, waitTimeout } = parts
  const { environment } = context
  const { id, decide, options } = request
  const deadline = environment.now() + waitTimeout
  const key = options.request && checkRequestKey(options.request.key)
  let { before } = options
  for (;;) {
    if (key !== undefined) {
      // A runner that took over after a crash wrote the history without the key: the id finds it, too.
      const earlier =
        (await operations.getByRequest(key)) ?? (await operations.get(await toOperationId(id, key)))
      if (earlier !== undefined) return repeatRequest(parts, request, earlier, deadline)
    }
    const record = await tenants.latest(id)
    if (record?.operation !== undefined) {
      const result = await waitForHolder(parts, request, requireHeld(record), deadline)
      if (result !== undefined) return result
      continue
    }
    // The request began and ended between the two reads: its history exists now.
    if (key !== undefined && record?.lastOperation === (await toOperationId(id, key))) continue
    const decision = decide(record)
    if ('done' in decision) return { record: decision.done, operationId: undefined }
    // A change that happens meanwhile fails the compare-and-set, and everything is read again.
    await before?.()
    before = undefined
    const holder = await beginOperation(parts, { ...request, intent: decision.begin })
    if (holder !== undefined) return finishBegun(parts, holder, options, deadline)
    if (environment.now() >= deadline) {
      throw conflict('The tenant kept changing concurrently; giving up', id, 5)
    }
    await environment.sleep(10 * environment.random())
  }
}

/** Runs an operation that has just begun, or hands it to the executor. */
async function finishBegun<Client, Adapters>(
  parts: OperationParts<Client, Adapters>,
  holder: HeldTenant,
  { wait = true }: OperationOptions,
  deadline: number,
): Promise<OperationResult> {
  const { id } = holder.operation
  if (parts.executor !== undefined) {
    await handOver(parts, holder)
    if (!wait) return { record: await parts.tenants.get(holder), operationId: id }
    return join(parts, holder, deadline)
  }
  const outcome = await parts.runHeld(holder)
  if (outcome === 'lost') return join(parts, holder, deadline)
  if (outcome.error !== undefined) throw outcome.error
  return toResult(parts, holder)
}

/** @throws `provider_unavailable` when the executor does not take it: `sweep` runs it once its lease has expired */
async function handOver<Client, Adapters>(
  { executor }: OperationParts<Client, Adapters>,
  { id, operation }: HeldTenant,
): Promise<void> {
  await executor?.(operation.id).catch((cause: unknown) => {
    const message = `The executor did not take the operation ${operation.id}`
    throw new TenancyError('provider_unavailable', message, { cause, tenantId: id })
  })
}

async function toResult<Client, Adapters>(
  { context, tenants }: OperationParts<Client, Adapters>,
  holder: HeldTenant,
): Promise<OperationResult> {
  context.forget(holder.id)
  const ref: TenantRef = holder
  return { record: await tenants.get(ref), operationId: holder.operation.id }
}

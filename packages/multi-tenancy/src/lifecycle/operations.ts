import { type OperationStore, WAITING } from '../catalog/operations.ts'
import type { TenantRow } from '../catalog/schema.ts'
import type { Change, TenantStore } from '../catalog/tenants.ts'
import { TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { TenantId } from '../tenant-id.ts'
import type { OperationHooks, OperationOptions, RunOptions, StepRunner } from '../types/lifecycle.ts'
import type { Operation, OperationKind, OperationParams, TenantRecord, TenantState } from '../types/record.ts'
import { errorOf, type Outcome, type Runner } from './runner.ts'

/** What an operation begins with. */
export interface Intent {
  /** The record it begins from; `undefined` writes a new incarnation. */
  readonly from: TenantRecord | undefined
  /** States the record may have. */
  readonly states?: readonly TenantState[]
  readonly change?: Change
  readonly params?: OperationParams
  /** A new incarnation after `previous`. */
  readonly previous?: TenantRecord | undefined
}

/** The record as it is when there is nothing to do, or the intent to begin with. */
export type Decision = { readonly done: TenantRecord | undefined } | { readonly begin: Intent }

export interface EngineOptions {
  readonly leaseTtl: number
  /** Milliseconds to wait for an operation that another process runs. */
  readonly waitTimeout: number
  readonly executor: ((operationId: string) => Promise<void>) | undefined
  readonly hooks: () => OperationHooks | undefined
}

/** Begins, joins and takes over operations. */
export interface Engine {
  /**
   * Has an operation of this kind happen to the tenant, unless `decide` says it has. Looks anew whenever somebody
   * else was quicker. An operation under way is joined where it is of the same kind, finished first where its
   * runner died, and else in the way.
   *
   * @throws `conflict`, what `decide` throws, and what the operation failed with
   */
  act(
    id: TenantId,
    kind: OperationKind,
    decide: (record: TenantRecord | undefined) => Decision,
    options: OperationOptions & { readonly alone?: boolean },
  ): Promise<{ record: TenantRecord | undefined; operation: Operation | undefined }>
  /**
   * Purges one incarnation, also one whose place was taken. `false`: it is no longer at rest, or was only handed to
   * the executor.
   */
  purge(record: TenantRecord): Promise<boolean>
  /** Takes an operation over whose lease ended, and runs it to its end. */
  resume(operation: Operation, options?: RunOptions): Promise<Outcome>
}

export function createEngine<Client, Adapters>(
  core: FactoryContext<Client, Adapters>,
  tenants: TenantStore,
  operations: OperationStore,
  runner: Runner,
  { leaseTtl, waitTimeout, executor, hooks }: EngineOptions,
): Engine {
  const { environment, nameTenant } = core
  const shared = environment.runtime === 'node'
  /** What this process runs: others here need not ask the catalog. */
  const running = new Map<string, Promise<Outcome>>()

  function run(operation: Operation, owner: string, step?: StepRunner): Promise<Outcome> {
    const promise = runner.run(operation, owner, step)
    if (!shared) return promise
    const tracked = promise.finally(() => running.delete(operation.id))
    running.set(operation.id, tracked)
    return tracked
  }

  async function resume(operation: Operation, { step, owner }: RunOptions = {}): Promise<Outcome> {
    // Its hooks are part of it: only who has them can finish it.
    if (operation.params.hooks === true && hooks() === undefined) return 'lost'
    const name = owner ?? crypto.randomUUID()
    const mine = await operations.claim(operation, name, environment.now() + leaseTtl)
    return mine === undefined ? 'lost' : run(mine, name, step)
  }

  /** Frees a tenant from an operation that has no row, or came to its end: nothing of ours leaves one so. */
  async function letGo(record: TenantRecord, operation: string): Promise<void> {
    const { id, state } = record
    const error = {
      code: 'internal',
      message: 'What became of the operation is not known',
      step: undefined,
      operation,
    }
    const stopped = state === 'provisioning' || state === 'deprovisioning'
    const change = stopped
      ? { state: 'failed', error: JSON.stringify(error) }
      : { state: state === 'upgrading' ? 'active' : state }
    const { revision } = record
    await tenants.update(record, { operation, revision }, { ...change, operation_id: null })
    core.forget(id)
  }

  /** Makes room for a request whose intent was withdrawn, unless that has its tenant after all. */
  async function abandon(operation: Operation): Promise<void> {
    const record = await tenants.get(refOf(operation))
    if (record?.operation === operation.id) await resume(operation)
    else await operations.remove(operation.id)
  }

  /** @throws `provider_unavailable` when nobody takes it: `sweep` does, when its lease ends */
  async function handOver({ id, tenantId }: Operation): Promise<void> {
    await executor?.(id).catch((cause: unknown) => {
      const message = 'The executor did not take the operation'
      throw new TenancyError('provider_unavailable', message, { cause, tenantId })
    })
  }

  /** Waits until an operation is settled, finishing it should its runner die. */
  async function join(id: string, deadline: number): Promise<Operation> {
    for (let delay = 20; ; delay = Math.min(delay * 1.5, 500)) {
      await running.get(id)?.catch(() => {})
      const operation = await operations.get(id)
      if (operation === undefined) throw conflict('The operation was withdrawn')
      if (operation.state === 'succeeded' || operation.state === 'failed') return operation
      const dead = operation.leaseUntil <= environment.now() && executor === undefined
      // Where it cannot be taken over (its hooks are elsewhere), it is waited for like one that is alive.
      if (dead && (await resume(operation)) !== 'lost') continue
      if (environment.now() >= deadline) {
        throw conflict(`The tenant’s ${operation.kind} is still under way`, operation.tenantId, 5)
      }
      await environment.sleep(delay * (0.5 + environment.random()))
    }
  }

  /** Writes the intent, then takes the tenant for it. Resolves with `undefined` when somebody else was quicker. */
  async function begin(
    id: TenantId,
    kind: OperationKind,
    intent: Intent,
    { request, hooks: withHooks }: OperationOptions,
    runner: string,
  ): Promise<Operation | undefined> {
    const owner = executor === undefined ? runner : WAITING
    const { from, previous, states, change } = intent
    const generation = from?.generation ?? (previous?.generation ?? 0) + 1
    const operation = crypto.randomUUID()
    const params: OperationParams = {
      ...intent.params,
      ...(from && { from: from.state }),
      ...(withHooks && hooks() !== undefined && { hooks: true }),
    }
    if (previous !== undefined && !previous.superseded) {
      // One statement on one row decides between this and an undelete, either way round; and should it arrive late,
      // when the row has moved on, it does nothing.
      const guard = { states: ['deleted', 'purged'] as const, operation: null, revision: previous.revision }
      const { record } = await tenants.update(previous, guard, { superseded: 1 })
      if (!record.superseded) return undefined
    }
    const lease = () => environment.now() + leaseTtl
    const written = {
      id: operation,
      tenantId: id,
      generation,
      kind,
      params,
      request,
      owner,
      leaseUntil: lease(),
    }
    if (!(await operations.insert(written))) return undefined
    const held = { operation_id: operation, last_operation_id: operation }
    const record =
      from === undefined
        ? await tenants.insert(await newRow(id, generation, intent, held))
        : (
            await tenants.update(
              from,
              { operation: null, revision: from.revision, ...(states && { states }) },
              { ...change, ...held },
            )
          ).record
    core.forget(id)
    // It has its tenant, however long that took: nobody may think it withdrawn.
    if (record.operation === operation) {
      const mine = await operations.hold(operation, owner, lease())
      if (mine !== undefined) return mine
      // Cleared away for its age, or another runner has it.
      await operations.insert(written)
      return operations.hold(operation, owner, lease())
    }
    await operations.remove(operation)
    return undefined
  }

  async function newRow(
    id: TenantId,
    generation: number,
    { params, change }: Intent,
    held: Pick<TenantRow, 'operation_id' | 'last_operation_id'>,
  ): Promise<TenantRow> {
    const now = environment.now()
    return {
      tenant_id: id,
      generation,
      uid: crypto.randomUUID(),
      name: await nameTenant(id, generation),
      locator: null,
      placement: params?.placement ?? null,
      state: 'provisioning',
      superseded: 0,
      schema_version: null,
      metadata: JSON.stringify(params?.metadata ?? {}),
      error: null,
      revision: crypto.randomUUID(),
      created_at: now,
      updated_at: now,
      ready_at: null,
      deleted_at: null,
      deleted_from: null,
      purge_after: null,
      ...change,
      ...held,
    }
  }

  return {
    resume,
    async purge(record) {
      const owner = crypto.randomUUID()
      const operation = await begin(record.id, 'purge', { from: record, states: ['deleted'] }, {}, owner)
      if (operation === undefined) return false
      if (executor !== undefined) {
        await handOver(operation)
        return false
      }
      const outcome = await run(operation, owner)
      if (outcome === 'lost') return false
      if (outcome.error !== undefined) throw outcome.error
      return true
    },
    async act(id, kind, decide, options) {
      const deadline = environment.now() + waitTimeout
      const { request, alone = false, wait = true } = options
      // More does not fit; and to MySQL blanks at the end are none.
      if (request !== undefined && !/^\S(.{0,253}\S)?$/s.test(request.key)) {
        throw new TenancyError(
          'invalid_request',
          'A request key has 1 to 255 characters, no blanks around them',
        )
      }
      let { before } = options
      for (;;) {
        if (request !== undefined) {
          const earlier = await operations.byRequest(request.key)
          if (earlier?.operation.state === 'withdrawn') await abandon(earlier.operation)
          else if (earlier !== undefined) return repeat(earlier, id, kind, options, deadline)
        }
        const record = await tenants.latest(id)
        if (record?.operation !== undefined) {
          const busy = await operations.get(record.operation)
          if (busy === undefined || busy.state === 'succeeded' || busy.state === 'failed') {
            await letGo(record, record.operation)
          } else if (busy.kind === kind && !alone && request === undefined) {
            if (!wait) return { record, operation: busy }
            return answer(await join(busy.id, deadline))
          } else if (busy.leaseUntil <= environment.now() && executor === undefined) {
            if ((await resume(busy)) === 'lost') {
              if (environment.now() >= deadline) throw inTheWay(busy)
              await environment.sleep(200 * (0.5 + environment.random()))
            }
          } else if (running.has(busy.id) && busy.kind === kind && !alone) {
            await running.get(busy.id)
          } else throw inTheWay(busy)
          continue
        }
        const decision = decide(record)
        if ('done' in decision) return { record: decision.done, operation: undefined }
        // What it decided by may change meanwhile: then the intent does not get its tenant.
        await before?.()
        before = undefined
        const owner = crypto.randomUUID()
        const operation = await begin(id, kind, decision.begin, options, owner)
        if (operation === undefined) {
          if (environment.now() >= deadline) throw conflict('The tenant changes too fast', id, 5)
          await environment.sleep(10 * environment.random())
          continue
        }
        if (executor !== undefined) {
          await handOver(operation)
          if (!wait) return { record: await tenants.get(refOf(operation)), operation }
          return answer(await join(operation.id, deadline))
        }
        const outcome = await run(operation, owner)
        if (outcome === 'lost') return answer(await join(operation.id, deadline))
        if (outcome.error !== undefined) throw outcome.error
        return answer({ ...operation, state: 'succeeded' })
      }
    },
  }

  async function repeat(
    { operation, hash }: { operation: Operation; hash: string },
    id: TenantId,
    kind: OperationKind,
    { request, wait = true }: OperationOptions,
    deadline: number,
  ): Promise<{ record: TenantRecord | undefined; operation: Operation }> {
    if (hash !== request?.hash || operation.tenantId !== id || operation.kind !== kind) {
      throw conflict('This idempotency key was used for another request', id)
    }
    if (operation.state === 'running' && wait) return answer(await join(operation.id, deadline))
    return answer(operation)
  }

  async function answer(
    operation: Operation,
  ): Promise<{ record: TenantRecord | undefined; operation: Operation }> {
    if (operation.state === 'failed' && operation.error !== undefined) {
      throw errorOf(operation.error, operation.tenantId)
    }
    core.forget(operation.tenantId)
    return { record: await tenants.get(refOf(operation)), operation }
  }
}

function refOf({ tenantId, generation }: Operation): { id: TenantId; generation: number } {
  return { id: tenantId, generation }
}

function inTheWay({ kind, tenantId }: Operation): TenancyError {
  return conflict(`The tenant’s ${kind} is under way`, tenantId, 5)
}

export function conflict(message: string, tenantId?: string, retryAfter?: number): TenancyError {
  return new TenancyError('conflict', message, {
    ...(tenantId === undefined ? {} : { tenantId }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  })
}

import type { OperationStore } from '../catalog/operations.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import { TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import { requirePositive } from '../factory/options.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Lifecycle, OperationHooks, OperationOptions } from '../types/lifecycle.ts'
import type { OperationKind, OperationParams, TenantRecord } from '../types/record.ts'
import { checkPlacement } from '../util/placement.ts'
import { adoptTenant } from './adopt.ts'
import { conflict } from './conflict.ts'
import { createHookReentrancy, type HookReentrancy } from './hook-reentrancy.ts'
import type { Decision, OperationResult } from './join.ts'
import { checkMetadata } from './metadata.ts'
import type { Operations } from './operations.ts'
import { createLifecycleReads } from './reads.ts'
import type { Reconciler } from './reconcile.ts'
import { sweep } from './sweep.ts'
import { classifySituation, rejection, STATE_WHILE, TRANSITIONS } from './transitions.ts'
import { retryFailed, updateMetadata } from './update.ts'

export interface LifecycleParts<Client, Adapters> {
  readonly context: FactoryContext<Client, Adapters>
  readonly tenants: TenantStore
  readonly operations: OperationStore
  readonly runner: Operations
  readonly reconciler: Reconciler
  /** Milliseconds. */
  readonly retention: number
  readonly leaseTtl: number
  readonly setHooks: (hooks: OperationHooks) => void
}

/** The public calls on tenants' lives. What each may begin from is the table in transitions.ts. */
export function createLifecycle<Client, Adapters>(parts: LifecycleParts<Client, Adapters>): Lifecycle {
  const { context, tenants, operations, runner, reconciler } = parts
  const reentrancy = createHookReentrancy()
  const lifecycle: Lifecycle = {
    ...createOperationCalls(parts, reentrancy),
    ...createLifecycleReads(context, tenants, operations),
    retry: (tenantId, options) => retryFailed(parts, lifecycle, tenantId, options),
    update: (tenantId, metadata, options) => updateMetadata(parts, tenantId, metadata, options),
    async run(operationId, options = {}) {
      const record = await tenants.getByOperation(operationId)
      if (record !== undefined) await runner.takeOver(record, options)
    },
    sweep: (options) => sweep(parts, options),
    reconcile: (options) => reconciler.reconcile(options),
    async adopt(tenantId) {
      const id = context.parse(tenantId)
      const record = await adoptTenant(context, tenants, id)
      context.forget(id)
      return record
    },
    attachHooks(hooks) {
      parts.setHooks(reentrancy.track(hooks))
    },
  }
  return lifecycle
}

type OperationCalls = Pick<
  Lifecycle,
  'provision' | 'migrate' | 'suspend' | 'resume' | 'deprovision' | 'undelete' | 'purge'
>

/** What a call adds to the table of transitions. */
interface CallOptions extends OperationOptions {
  readonly params?: OperationParams
  /** Rejects a tenant that exists, and an operation of the same kind that is under way. */
  readonly exclusive?: boolean
  /** Called for `begin`. Returns the record where nothing is left to do; throws where the call must not begin. */
  readonly checkBegin?: (record: TenantRecord) => TenantRecord | undefined
}

function createOperationCalls<Client, Adapters>(
  { context, tenants, operations, runner, retention: defaultRetention }: LifecycleParts<Client, Adapters>,
  reentrancy: HookReentrancy,
): OperationCalls {
  const { environment, parse } = context

  function run(kind: OperationKind, tenantId: string, options: CallOptions = {}): Promise<OperationResult> {
    const id = parse(tenantId)
    const { exclusive = false } = options
    return runner.run({ id, kind, exclusive, options, decide: (record) => decide(kind, id, record, options) })
  }

  async function runToRecord(
    kind: OperationKind,
    tenantId: string,
    options?: CallOptions,
  ): Promise<TenantRecord> {
    return requireRecord((await run(kind, tenantId, options)).record)
  }

  /** A hook that calls the operation it belongs to would deadlock: the call returns the record instead. */
  function isReentrant(
    hook: 'onProvision' | 'onDeprovision',
    tenantId: string,
    { hooks = false }: OperationOptions,
  ): boolean {
    return !hooks && reentrancy.isRunning(hook, parse(tenantId))
  }

  const calls: OperationCalls = {
    async provision(tenantId, options = {}) {
      const { metadata = {}, placement } = options
      checkMetadata(metadata)
      checkPlacement(context.provider, placement)
      if (isReentrant('onProvision', tenantId, options)) {
        return requireRecord(await tenants.latest(parse(tenantId)))
      }
      const params = { metadata, ...(placement !== undefined && { placement }) }
      return runToRecord('provision', tenantId, { ...options, params })
    },
    async migrate(tenantId) {
      const newest = (await context.migrations?.load())?.at(-1)?.name
      const checkBegin = (record: TenantRecord) =>
        newest === undefined || (record.state === 'active' && record.schemaVersion === newest)
          ? record
          : undefined
      const { operationId } = await run('migrate', tenantId, { checkBegin })
      if (operationId === undefined) return []
      const events = await operations.steps(operationId)
      return parseNames(events.findLast(({ step }) => step === 'migrate')?.detail)
    },
    suspend: (tenantId, options) => runToRecord('suspend', tenantId, options),
    resume: (tenantId, options) => runToRecord('resume', tenantId, options),
    undelete: (tenantId, options) => runToRecord('undelete', tenantId, options),
    async deprovision(tenantId, options = {}) {
      const retention = requirePositive('retention', options.retention ?? defaultRetention)
      if (isReentrant('onDeprovision', tenantId, options)) return tenants.latest(parse(tenantId))
      const { record } = await run('deprovision', tenantId, { ...options, params: { retention } })
      if (record?.state !== 'deleted' || !isDue(record, environment.now())) return record
      try {
        return await calls.purge(tenantId, { wait: options.wait ?? true })
      } catch (error) {
        // A new incarnation was provisioned concurrently: `sweep` purges the old one.
        const current = await tenants.get(record)
        if (current?.superseded) return current
        throw error
      }
    },
    purge(tenantId, options = {}) {
      const checkBegin = (record: TenantRecord): undefined => {
        if (isDue(record, environment.now()) || options.uid === record.uid) return
        throw conflict("The tenant's retention has not ended: pass its uid to purge it now", record.id)
      }
      return runToRecord('purge', tenantId, { ...options, checkBegin })
    },
  }
  return calls
}

/** Applies the table of transitions to the latest record. @throws the error that the table says */
function decide(
  kind: OperationKind,
  id: TenantId,
  record: TenantRecord | undefined,
  { params, exclusive = false, checkBegin }: CallOptions,
): Decision {
  const situation = classifySituation(record)
  const transition = TRANSITIONS[situation][kind]
  if (transition === 'ignore') return { done: undefined }
  if (transition === 'recreate') {
    return { begin: { from: undefined, previous: record, ...(params && { params }) } }
  }
  if (transition === 'begin' && record !== undefined) {
    const done = checkBegin?.(record)
    if (done !== undefined) return { done }
    const state = STATE_WHILE[kind]
    const deletedFrom = record.deletedFrom ?? (record.state === 'suspended' ? 'suspended' : 'active')
    const changes = {
      ...(state !== undefined && { state }),
      ...(kind === 'deprovision' && { deletedFrom }),
    }
    return { begin: { from: record, states: [record.state], changes, ...(params && { params }) } }
  }
  if (transition === 'confirm') {
    if (exclusive) throw conflict('The tenant already exists', id)
    return { done: record }
  }
  if (transition === 'begin') throw new TenancyError('internal', 'There is no record to begin from')
  throw rejection(transition, kind, situation, id)
}

function isDue({ purgeAfter }: TenantRecord, now: number): boolean {
  return (purgeAfter ?? Infinity) <= now
}

function requireRecord(record: TenantRecord | undefined): TenantRecord {
  if (record !== undefined) return record
  throw new TenancyError('internal', 'The catalog record is missing after the operation')
}

/** The names in the detail of a step; a list that was too long to be stored whole cannot be read. */
function parseNames(detail: string | undefined): readonly string[] {
  try {
    return JSON.parse(detail ?? '[]') as string[]
  } catch {
    return []
  }
}

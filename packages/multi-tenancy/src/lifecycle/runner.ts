import type { OperationStore } from '../catalog/operations.ts'
import type { Change, TenantRef, TenantStore } from '../catalog/tenants.ts'
import { FOREIGN } from '../database/steps.ts'
import { TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { OperationHooks, StepRunner } from '../types/lifecycle.ts'
import type { Operation, OperationError, TenantRecord, TenantState } from '../types/record.ts'
import { markReported } from '../util/report-error.ts'
import { locateError } from '../util/retry-call.ts'
import { createSteps, HOOK_STEPS, isLeftDirty, PLANS } from './steps.ts'

/** How an operation ended for the one who ran it: `lost` when another runner has it now. */
export type Outcome = { readonly error: TenancyError | undefined } | 'lost'

export interface RunnerOptions {
  /** Milliseconds a runner is believed alive without a sign of life. */
  readonly leaseTtl: number
  /** Milliseconds, where an operation does not say. */
  readonly retention: number
  readonly hooks: () => OperationHooks | undefined
}

/** Runs operations whose lease this process holds, step after step, and writes down what becomes of each. */
export interface Runner {
  run(operation: Operation, owner: string, step?: StepRunner): Promise<Outcome>
}

/** Runs steps at once. */
export const inline: StepRunner = { do: (_name, work) => work() }

/** Where a tenant is after an operation on it failed; `undefined`: where it was. */
const FAILED: Readonly<Record<Operation['kind'], TenantState | undefined>> = {
  provision: 'failed',
  migrate: undefined,
  suspend: 'suspended',
  resume: undefined,
  deprovision: 'failed',
  undelete: 'deleted',
  purge: 'deleted',
}

export function createRunner<Client, Adapters>(
  core: FactoryContext<Client, Adapters>,
  tenants: TenantStore,
  operations: OperationStore,
  { leaseTtl, retention, hooks }: RunnerOptions,
): Runner {
  const { environment } = core
  const lost = new TenancyError('conflict', 'Another runner has taken the operation over')

  async function run(operation: Operation, owner: string, step: StepRunner = inline): Promise<Outcome> {
    const { id } = operation
    const ref: TenantRef = { id: operation.tenantId, generation: operation.generation }
    const prolong = () => operations.renew(id, owner, environment.now() + leaseTtl)
    // A renewal that fails is made up for by the next; a lease that is lost is noticed before the next step.
    let failure: TenancyError | undefined
    const beat = setInterval(() => void prolong().catch(() => {}), leaseTtl / 3)
    try {
      const record = await tenants.get(ref)
      if (record?.operation !== id) return await settled(operation, record)
      await runSteps(operation, ref, prolong, step, (error) => {
        failure = error
      })
      if (!(await prolong())) return 'lost'
      return await close(operation, ref, undefined, {})
    } catch (cause) {
      // What failed for a runner that was thought dead says nothing: another is at it.
      if (cause === lost || !(await prolong())) return 'lost'
      const error = failure ?? TenancyError.from(cause)
      core.reportError(error, { operation: operation.kind, tenantId: operation.tenantId })
      const change = await afterFailure(operation, ref, error)
      await shut(operation, ref, error, change)
      return await close(operation, ref, error, change)
    } finally {
      clearInterval(beat)
      core.forget(ref.id)
    }
  }

  async function runSteps(
    operation: Operation,
    ref: TenantRef,
    prolong: () => Promise<boolean>,
    step: StepRunner,
    failed: (error: TenancyError | undefined) => void,
  ): Promise<void> {
    const { id, attempt, kind, params } = operation
    const attached = params.hooks === true ? hooks() : undefined
    const work = createSteps(core)
    const done = new Set<string>()
    if (attempt > 1) {
      for (const event of await operations.steps(id)) if (event.outcome === 'succeeded') done.add(event.step)
    }
    for (const [position, name] of PLANS[kind].entries()) {
      const isHook = (HOOK_STEPS as readonly string[]).includes(name)
      if (isHook && attached?.[name as (typeof HOOK_STEPS)[number]] === undefined) continue
      if (done.has(name)) continue
      await step.do(name, async () => {
        failed(undefined)
        // The fence: a runner that was thought dead stops here.
        if (!(await prolong())) throw lost
        const record = await tenants.get(ref)
        if (record?.operation !== id) throw lost
        await operations.beginStep(id, attempt, position, name)
        const change = async (columns: Change): Promise<void> => {
          const { record: after } = await tenants.update(ref, { operation: id }, columns)
          if (after.operation !== id) throw lost
          core.forget(ref.id)
        }
        const report = async (detail: string): Promise<void> => {
          await operations.endStep(id, attempt, position, 'started', detail)
          if (!(await prolong())) throw lost
        }
        const context = {
          record,
          kind,
          retention: params.retention ?? retention,
          hooks: attached ?? {},
          change,
          report,
        }
        try {
          const detail = await work[name]?.(context)
          await operations.endStep(id, attempt, position, 'succeeded', detail)
          return detail ?? null
        } catch (cause) {
          if (cause === lost) throw cause
          const error = locateError(core.provider.mapError(cause), name, ref.id)
          // A durable engine hands on another error than it was given.
          failed(error)
          await operations
            .endStep(id, attempt, position, 'failed', `${error.code}: ${error.detail}`)
            .catch(() => {})
          throw error
        }
      })
    }
  }

  /** The tenant was let go already, or never taken: only the operation's own row is behind. */
  async function settled(operation: Operation, record: TenantRecord | undefined): Promise<Outcome> {
    const events = await operations.steps(operation.id)
    const last = events.at(-1)
    if (last === undefined && record?.lastOperation !== operation.id) {
      await operations.withdraw(operation.id)
      return 'lost'
    }
    const known = record?.error?.operation === operation.id ? record.error : undefined
    const message = (last?.outcome === 'failed' ? last.detail : undefined) ?? 'It did not come to its end'
    const guess: OperationError = { code: 'internal', message, step: last?.step, operation: operation.id }
    const final = PLANS[operation.kind].findLast((name) => !(HOOK_STEPS as readonly string[]).includes(name))
    const complete = events.some(({ step, outcome }) => step === final && outcome === 'succeeded')
    const error = known ?? (complete ? undefined : guess)
    await operations.finish(operation.id, error)
    return { error: error && errorOf(error, operation.tenantId) }
  }

  /** Lets the tenant go first: should this die between the two, the row left behind is closed by what it says. */
  async function close(
    operation: Operation,
    ref: TenantRef,
    error: TenancyError | undefined,
    change: Change,
  ): Promise<Outcome> {
    const { id } = operation
    const shown = error && shownError(error, id)
    const { record } = await tenants.update(
      ref,
      { operation: id },
      { ...change, operation_id: null, error: shown === undefined ? null : JSON.stringify(shown) },
    )
    if (record.operation === id) return 'lost'
    await operations.finish(id, shown)
    return { error }
  }

  async function afterFailure(operation: Operation, ref: TenantRef, error: TenancyError): Promise<Change> {
    const state = FAILED[operation.kind] ?? operation.params.from
    const dirty =
      (operation.kind === 'migrate' || operation.kind === 'resume') && (await leavesDirty(ref, error))
    const reached = operation.kind === 'undelete' ? await tenants.get(ref) : undefined
    if (reached?.state === 'active' || reached?.state === 'suspended') return {}
    return dirty ? { state: 'failed' } : state === undefined ? {} : { state }
  }

  /** Nobody is to be served by a database that is half migrated, in no process. */
  async function leavesDirty(ref: TenantRef, { code }: TenancyError): Promise<boolean> {
    if (code !== 'migration_failed') return code === 'migration_dirty'
    const record = await tenants.get(ref)
    return record !== undefined && isLeftDirty(core, record)
  }

  /** A tenant that stays suspended or deleted was opened for the work alone. */
  async function shut(
    { id, kind, params }: Operation,
    ref: TenantRef,
    error: TenancyError,
    { state: next }: Change,
  ): Promise<void> {
    if (!PLANS[kind].includes('open') || FOREIGN.has(error.code)) return
    const record = await tenants.get(ref)
    const state = next ?? record?.state
    if (record?.operation !== id || (state !== 'suspended' && state !== 'deleted')) return
    const context = {
      record,
      kind,
      retention: params.retention ?? retention,
      hooks: {},
      change: async () => {},
      report: () => {},
    }
    // What it failed with is what counts.
    await createSteps(core)
      .close?.(context)
      .catch(() => {})
  }

  return { run }
}

function shownError({ code, detail, step, retryAfter }: TenancyError, operation: string): OperationError {
  return { code, message: detail, step, ...(retryAfter === undefined ? {} : { retryAfter }), operation }
}

/** The error an operation ended with, as whoever joined it gets it. */
export function errorOf({ code, message, step, retryAfter }: OperationError, tenantId: string): TenancyError {
  // The process that ran the operation reported it.
  return markReported(
    new TenancyError(code, message, {
      tenantId,
      ...(step === undefined ? {} : { step }),
      ...(retryAfter === undefined ? {} : { retryAfter }),
    }),
  )
}

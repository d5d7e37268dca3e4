import type { OperationStore, StepRef } from '../catalog/operations.ts'
import type { TenantChanges } from '../catalog/rows.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import type { DatabaseSession } from '../database/context.ts'
import { type HookStep, PLANS, type StepName } from '../database/plans.ts'
import { createDatabaseSession } from '../database/session.ts'
import { HOOK_STEPS, STEPS } from '../database/steps.ts'
import { TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { OperationHooks, StepRunner } from '../types/lifecycle.ts'
import type { OperationError, RunningOperation, TenantRecord } from '../types/record.ts'
import { markReported } from '../util/report-error.ts'
import { locateError } from '../util/retry-call.ts'
import { closeAfterFailure, stateAfterFailure } from './failure.ts'
import { readOutcome } from './outcome.ts'

/** How a run ended: `lost` when another runner holds the operation now. */
export type Outcome = { readonly error: TenancyError | undefined } | 'lost'

/** A tenant that an operation holds. */
export type HeldTenant = TenantRecord & { readonly operation: RunningOperation }

export interface RunnerOptions<Client, Adapters> {
  readonly context: FactoryContext<Client, Adapters>
  readonly tenants: TenantStore
  readonly operations: OperationStore
  /** Milliseconds without a renewal after which another runner may take the operation over. */
  readonly leaseTtl: number
  /** Milliseconds a deleted tenant is kept, where the operation does not say. */
  readonly retention: number
  readonly hooks: () => OperationHooks | undefined
}

/** Runs operations whose lease this process holds, step after step, and records the outcome of each step. */
export interface Runner {
  run(holder: HeldTenant, step?: StepRunner): Promise<Outcome>
}

/** Runs steps in this process, one after the other. */
const inline: StepRunner = { do: (_name, work) => work() }

/** Signals inside a run that another runner holds the operation. */
const LOST = new TenancyError('conflict', 'Another runner has taken the operation over')

export function createRunner<Client, Adapters>(options: RunnerOptions<Client, Adapters>): Runner {
  const { context, tenants, operations, leaseTtl } = options

  async function finish(
    holder: HeldTenant,
    error: TenancyError | undefined,
    changes: TenantChanges,
  ): Promise<Outcome> {
    const { operation } = holder
    const recorded = error && toOperationError(error, operation.id)
    // Releases the tenant first. A crash before the next write leaves a history that `sweep` completes from the record.
    const { record, changed } = await tenants.update(
      holder,
      { operation },
      { ...changes, operation: undefined, error: recorded },
    )
    if (record.operation?.id === operation.id) return 'lost'
    // Another runner may have released it first: then the record says how the operation ended.
    const outcome = changed ? { error: recorded } : await readOutcome({ operations }, operation.id, record)
    await operations.finish(operation.id, outcome.error)
    return {
      error: changed || outcome.error === undefined ? error : toTenancyError(outcome.error, holder.id),
    }
  }

  return {
    async run(holder, step = inline) {
      const { operation } = holder
      const renew = () => tenants.renewLease(holder, operation, context.environment.now() + leaseTtl)
      // A failed renewal is retried; a lost lease is detected before the next step.
      const heartbeat = setInterval(() => void renew().catch(() => {}), leaseTtl / 3)
      const run = createRun(options, holder, renew)
      try {
        if (operation.attempt > 1) await operations.record(holder, undefined)
        await runSteps(options, run, step)
        return (await renew()) ? await finish(holder, undefined, {}) : 'lost'
      } catch (cause) {
        // An error of a runner whose lease expired means nothing: another runner continues.
        if (cause === LOST || !(await renew())) return 'lost'
        const error = run.failure() ?? TenancyError.from(cause)
        context.reportError(error, { operation: operation.kind, tenantId: holder.id })
        const changes = await stateAfterFailure(context, tenants, holder, error)
        await closeAfterFailure(context, tenants, holder, { error, changes })
        return await finish(holder, error, changes)
      } finally {
        clearInterval(heartbeat)
        context.forget(holder.id)
      }
    },
  }
}

/** One run of an operation, as its steps see it. */
interface Run<Client> {
  readonly holder: HeldTenant
  readonly session: DatabaseSession<Client>
  /** @throws `LOST` unless this runner holds the lease; else resolves with the record as it is now */
  fence(): Promise<TenantRecord>
  /** Changes the record. @throws `LOST` */
  change(changes: TenantChanges): Promise<void>
  report(ref: StepRef, detail: string): Promise<void>
  /** The error of the step that failed: a durable engine may throw another error than the step did. */
  failure(): TenancyError | undefined
  setFailure(error: TenancyError | undefined): void
}

function createRun<Client, Adapters>(
  { context, tenants, operations }: RunnerOptions<Client, Adapters>,
  holder: HeldTenant,
  renew: () => Promise<boolean>,
): Run<Client> {
  const { operation } = holder
  let failure: TenancyError | undefined
  return {
    holder,
    session: createDatabaseSession(context),
    async fence() {
      if (!(await renew())) throw LOST
      const record = await tenants.get(holder)
      if (record?.operation?.id !== operation.id) throw LOST
      return record
    },
    async change(changes) {
      const { record } = await tenants.update(holder, { operation }, changes)
      const current = record.operation
      if (current?.id !== operation.id || current.owner !== operation.owner) throw LOST
      context.forget(holder.id)
    },
    async report(ref, detail) {
      await operations.endStep(ref, 'started', detail)
      if (!(await renew())) throw LOST
    },
    failure: () => failure,
    setFailure(error) {
      failure = error
    },
  }
}

async function runSteps<Client, Adapters>(
  options: RunnerOptions<Client, Adapters>,
  run: Run<Client>,
  step: StepRunner,
): Promise<void> {
  const { id, attempt, kind, params } = run.holder.operation
  const hooks = (params.hooks === true ? options.hooks() : undefined) ?? {}
  const succeeded = attempt > 1 ? await readSucceeded(options.operations, id) : new Set<string>()
  for (const [position, name] of PLANS[kind].entries()) {
    if (isHookStep(name) && hooks[name] === undefined) continue
    if (succeeded.has(name)) continue
    const ref = { operationId: id, attempt, position }
    await step.do(name, () => runStep(options, run, { name, ref, hooks }))
  }
}

async function readSucceeded(operations: OperationStore, id: string): Promise<Set<string>> {
  const events = await operations.steps(id)
  return new Set(events.filter(({ outcome }) => outcome === 'succeeded').map((event) => event.step))
}

interface PlannedStep {
  readonly name: StepName
  readonly ref: StepRef
  readonly hooks: OperationHooks
}

async function runStep<Client, Adapters>(
  { context, operations, retention }: RunnerOptions<Client, Adapters>,
  run: Run<Client>,
  { name, ref, hooks }: PlannedStep,
): Promise<string | null> {
  run.setFailure(undefined)
  const target = await run.fence()
  await operations.beginStep(ref, name)
  try {
    const { detail, changes } = await STEPS[name]({
      context,
      session: run.session,
      target,
      retention: run.holder.operation.params.retention ?? retention,
      hooks,
      report: (text) => run.report(ref, text),
    })
    if (changes !== undefined) await run.change(changes)
    await operations.endStep(ref, 'succeeded', detail)
    return detail ?? null
  } catch (cause) {
    if (cause === LOST) throw cause
    const error = locateError(context.provider.mapError(cause), name, target.id)
    run.setFailure(error)
    await operations.endStep(ref, 'failed', `${error.code}: ${error.detail}`).catch(() => {})
    throw error
  }
}

function isHookStep(name: StepName): name is HookStep {
  return (HOOK_STEPS as readonly string[]).includes(name)
}

function toOperationError(
  { code, detail, step, retryAfter }: TenancyError,
  operation: string,
): OperationError {
  return { code, message: detail, step, ...(retryAfter === undefined ? {} : { retryAfter }), operation }
}

/** The error that a failed operation ended with, for callers that joined it. */
export function toTenancyError(
  { code, message, step, retryAfter }: OperationError,
  tenantId: string,
): TenancyError {
  // The process that ran the operation has reported the error.
  return markReported(
    new TenancyError(code, message, {
      tenantId,
      ...(step === undefined ? {} : { step }),
      ...(retryAfter === undefined ? {} : { retryAfter }),
    }),
  )
}

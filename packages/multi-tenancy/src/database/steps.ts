import { TenancyError } from '../errors.ts'
import type { OperationHooks } from '../types/lifecycle.ts'
import { IDENTITY_TABLE, statement } from '../util/dialect.ts'
import type { StepInput, StepResult } from './context.ts'
import { locate, NO_DATABASE, requireMissing } from './deletion-steps.ts'
import { hookError } from './hook-error.ts'
import { readStamp } from './identity.ts'
import { INLINE_STEPS } from './inline-steps.ts'
import type { HookStep, StepName } from './plans.ts'

type Input = StepInput<any, any>

/** The steps that call the app's own code. */
export const HOOK_STEPS: readonly HookStep[] = ['onProvision', 'onDeprovision', 'afterCreate', 'afterDelete']

/** Every step of an operation that a catalog records: those that run inline, and those that need the record. */
export const STEPS: Readonly<Record<StepName, (input: Input) => Promise<StepResult>>> = {
  ...INLINE_STEPS,
  onProvision: (input) => runHook(input, 'onProvision'),
  activate: (input) => activate(input, 'active'),
  afterCreate: (input) => runAfterHook(input, 'afterCreate'),
  openAccess: (input) => setAccess(input, 'open'),
  closeAccess: (input) => setAccess(input, 'closed'),
  onDeprovision: (input) => runHook(input, 'onDeprovision'),
  delete: recordDeletion,
  afterDelete: (input) => runAfterHook(input, 'afterDelete'),
  unmarkDeleted,
  restore: (input) => activate(input, input.target.deletedFrom === 'suspended' ? 'suspended' : 'active'),
  restoreAccess: async (input) => (input.target.state === 'suspended' ? setAccess(input, 'closed') : {}),
  purge: async () => ({
    changes: { state: 'purged', locator: undefined, metadata: {}, purgeAfter: undefined },
  }),
}

async function activate({ context, target }: Input, state: 'active' | 'suspended'): Promise<StepResult> {
  const newest = (await context.migrations?.load())?.at(-1)?.name
  return {
    detail: newest,
    changes: {
      state,
      schemaVersion: newest ?? target.schemaVersion,
      readyAt: target.readyAt ?? context.now(),
      deletedAt: undefined,
      deletedFrom: undefined,
      purgeAfter: undefined,
    },
  }
}

async function setAccess(input: Input, access: 'open' | 'closed'): Promise<StepResult> {
  const { context, session, target } = input
  const { provider } = context
  if (provider.setAccess === undefined) return { detail: 'the provider cannot close access' }
  // Access was never given, and the name may belong to a foreign database.
  if (target.readyAt === undefined) return { detail: 'the tenant was never ready' }
  const located = await locate(input)
  if (located === undefined) return { detail: NO_DATABASE }
  const { locator, changes } = located
  const step = access === 'open' ? 'openAccess' : 'closeAccess'
  return context.steps(target.id)(step, async (call) => {
    try {
      await provider.setAccess?.(locator, access, call)
      if (access === 'open') session.noteAccessOpened()
      return { changes }
    } catch (cause) {
      return { detail: requireMissing(provider.mapError(cause)), changes }
    }
  })
}

async function recordDeletion({ context, target, retention }: Input): Promise<StepResult> {
  const now = context.now()
  return {
    detail: target.locator === undefined ? NO_DATABASE : undefined,
    changes: { state: 'deleted', deletedAt: now, purgeAfter: now + retention },
  }
}

async function unmarkDeleted({ context, session, target }: Input): Promise<StepResult> {
  const { provider } = context
  const client = await session.connect(target)
  const { dialect } = provider.capabilities
  const unmark = statement(
    dialect,
    `UPDATE ${IDENTITY_TABLE} SET state = 'ready' WHERE slot = 1 AND uid = ? AND state = ?`,
    target.uid ?? '',
    'deprovisioning',
  )
  await context.steps(target.id)('unmarkDeleted', async () => {
    await provider.batch(client, [unmark])
    const stamp = await readStamp(dialect, (read) => provider.query(client, read))
    if (stamp?.uid === target.uid && stamp?.state === 'ready') return
    throw new TenancyError('conflict', "The database does not carry this incarnation's identity stamp", {
      tenantId: target.id,
    })
  })
  return {}
}

async function runHook({ hooks, target, report }: Input, name: HookStep): Promise<StepResult> {
  await hooks[name]?.(target.id, { report })
  return {}
}

/** An `after…` hook that throws changes nothing: the operation has already succeeded. */
async function runAfterHook(input: Input, name: 'afterCreate' | 'afterDelete'): Promise<StepResult> {
  try {
    return await runHook(input, name)
  } catch (cause) {
    const error = hookError(cause, input.target.id, name)
    reportHookError(input.hooks, error)
    return { detail: `failed: ${error.detail}` }
  }
}

function reportHookError({ onHookError }: OperationHooks, error: TenancyError): void {
  try {
    onHookError?.(error)
  } catch {
    // An error of the error handler must not fail the operation.
  }
}

import { TenancyError } from '../errors.ts'
import type { CallOptions, Locator } from '../types/provider.ts'
import type { StepInput, StepResult, TenantTarget } from './context.ts'
import { dropDatabase, FOREIGN, markForDeletion } from './destroy.ts'
import { toExpectedIdentity } from './session.ts'

type Input = StepInput<any, any>

export const NO_DATABASE = 'there is no database'

export async function markDeleted({ context, session, target }: Input): Promise<StepResult> {
  const { provider } = context
  return context.steps(target.id)('markDeleted', async (call) => {
    const locator = target.locator ?? (await provider.find(target.name, call))
    if (locator === undefined) return { detail: NO_DATABASE }
    const changes = { locator }
    try {
      await markForDeletion(provider, toExpectedIdentity(target), locator, call)
      session.noteMarkedDeleted()
      return { changes }
    } catch (cause) {
      const error = provider.mapError(cause)
      if (target.uid === undefined) throw toRetryable(error)
      return { detail: describeForeign(target, error) ?? requireMissing(error), changes }
    }
  })
}

export async function dropTenantDatabase(input: Input): Promise<StepResult> {
  const { context, session, target } = input
  const { provider } = context
  const located = await locate(input)
  if (located === undefined) return { detail: NO_DATABASE }
  const database = { id: target.id, name: target.name, locator: located.locator }
  return context.steps(target.id)('drop', async (call) => {
    // Unless this run has just marked it, the stamp is read once more: only exactly this incarnation is destroyed.
    const refusal = session.isMarkedDeleted ? {} : await recheck(input, located.locator, call)
    if (refusal.foreign !== undefined) return { detail: refusal.foreign }
    await dropDatabase(provider, database, call)
    return { detail: refusal.missing }
  })
}

async function recheck(
  { context: { provider }, target }: Input,
  locator: Locator,
  call: CallOptions,
): Promise<{ readonly foreign?: string | undefined; readonly missing?: string }> {
  try {
    await markForDeletion(provider, toExpectedIdentity(target), locator, call)
    return {}
  } catch (cause) {
    const error = provider.mapError(cause)
    const foreign = describeForeign(target, error)
    return foreign === undefined ? { missing: requireMissing(error) } : { foreign }
  }
}

/** The database's locator; one whose `create` got no response is looked for by its name. */
export async function locate({
  context,
  target,
}: Input): Promise<{ locator: Locator; changes: { locator: Locator } | undefined } | undefined> {
  if (target.locator !== undefined) return { locator: target.locator, changes: undefined }
  const locator = await context.steps(target.id)('find', (call) => context.provider.find(target.name, call))
  return locator && { locator, changes: { locator } }
}

/** A missing database counts as deleted. */
export function requireMissing(error: TenancyError): string {
  if (error.code === 'tenant_not_found') return 'the database was gone'
  throw error
}

/** Without a catalog the database is known by its name alone: one that was replaced meanwhile is looked for again. */
function toRetryable(error: TenancyError): TenancyError {
  if (error.code !== 'tenant_not_found' && error.code !== 'stale_tenant') return error
  return new TenancyError('provider_unavailable', 'The tenant is being deleted concurrently', {
    cause: error,
  })
}

/** A tenant that was never ready may have failed because a foreign database has its name. */
function describeForeign({ uid, readyAt }: TenantTarget, { code }: TenancyError): string | undefined {
  const isOwnRecord = uid !== undefined
  return isOwnRecord && readyAt === undefined && FOREIGN.has(code)
    ? 'left alone: the database belongs to another owner'
    : undefined
}

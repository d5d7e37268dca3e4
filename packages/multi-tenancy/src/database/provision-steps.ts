import { TenancyError } from '../errors.ts'
import { checkPlacement } from '../util/placement.ts'
import { toTenant } from './connect.ts'
import type { StepInput, StepResult, TenantTarget } from './context.ts'
import { migrate } from './migrations/index.ts'
import { toExpectedIdentity } from './session.ts'
import { ensureStamp, setStampState } from './stamp.ts'

type Input = StepInput<any, any>

export async function createDatabase({ context, session, target }: Input): Promise<StepResult> {
  const { provider } = context
  const { id, name, placement } = target
  // The options of this process may differ from those of the process that accepted the request.
  checkPlacement(provider, placement)
  const { locator, created } = await context.steps(id)('create', (call) =>
    provider.create(name, placement === undefined ? call : { ...call, placement }),
  )
  if (created) session.noteCreated()
  return { detail: created ? 'created' : 'found', changes: { locator } }
}

export async function stampDatabase({ context, session, target }: Input): Promise<StepResult> {
  const { provider, migrations, seed } = context
  const identify = (cause: unknown): never => {
    const error = provider.mapError(cause)
    throw error.code === 'stale_tenant' && target.uid !== undefined ? unknownStamp(target) : error
  }
  const client = await session.connect(target).catch(identify)
  const stamp = await context.steps(target.id)('stamp', () =>
    ensureStamp(provider, client, toExpectedIdentity(target), {
      isNew: session.isUnstamped,
      migrations,
      marksReady: session.marksReadyWithStamp && seed === undefined,
    }).catch(identify),
  )
  session.noteStamped(stamp)
  return { detail: stamp.uid }
}

export async function migrateDatabase({ context, session, target }: Input): Promise<StepResult> {
  const { provider, migrations } = context
  if (migrations === undefined) return { detail: '[]' }
  const migrated = session.stamp?.migrated
  if (migrated !== undefined) return { detail: JSON.stringify(migrated) }
  const client = await session.connect(target)
  const applied = await context.steps(target.id)('migrate', ({ signal }) =>
    migrate({ provider, client, migrations, tenantId: target.id, signal }),
  )
  return { detail: JSON.stringify(applied) }
}

export async function seedDatabase({ context, session, target, report }: Input): Promise<StepResult> {
  const { seed, createAdapters } = context
  if (seed === undefined || session.stamp?.isReady) return {}
  const client = await session.connect(target)
  const tenant = toTenant(target)
  await context.steps(target.id)('seed', async () => {
    await seed(await createAdapters(client, tenant), tenant, { report })
  })
  return {}
}

export async function markReady({ context, session, target }: Input): Promise<StepResult> {
  if (session.stamp?.isReady) return {}
  const client = await session.connect(target)
  const uid = target.uid ?? session.stamp?.uid ?? ''
  await context.steps(target.id)('ready', () =>
    setStampState(context.provider, client, { tenantId: target.id, uid }, 'ready'),
  )
  return {}
}

function unknownStamp({ id, name }: TenantTarget): TenancyError {
  const message = `The database ${name} carries a stamp that the catalog does not know: adopt it, or remove it`
  return new TenancyError('name_taken', message, { tenantId: id })
}

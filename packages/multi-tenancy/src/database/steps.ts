import { TenancyError, type TenancyErrorCode } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { ExpectedIdentity, Identity, Stamp, StampState } from '../types/identity.ts'
import type { LocatedDatabase } from '../types/locate.ts'
import type { Progress } from '../types/progress.ts'
import type { CallOptions, Locator, Row, Statement, TenantProvider } from '../types/provider.ts'
import type { Tenant } from '../types/tenant-factory.ts'
import { connectUnverified, connectVerified, toTenant } from './connect.ts'
import { assertOwner, isEmpty, readStamp, stampStatements, stampStateStatement } from './identity.ts'
import { buildInitialScript, type Migrations, migrate } from './migrations/index.ts'

type Query = (statement: Statement) => Promise<Row[]>

/** Runs one step, with its retries, and names it in errors. */
export type Step = <Value>(name: string, work: (options: CallOptions) => Promise<Value>) => Promise<Value>

export interface ProvisionContext<Client, Adapters> {
  readonly provider: TenantProvider<Client>
  readonly migrations: Migrations | undefined
  readonly createAdapters: (client: Client, tenant: Tenant) => Adapters | Promise<Adapters>
  readonly seed: ((adapters: Adapters, tenant: Tenant, progress: Progress) => Promise<void>) | undefined
  /** Runs one step with its retries. */
  steps(tenantId: TenantId): Step
  /** See `connectChecked`. */
  onIdentityMismatch(
    tenantId: TenantId,
    incarnation: { readonly generation: number },
  ): (error?: TenancyError) => void
}

/**
 * Makes a tenant's database, or finishes what an earlier call began: create, stamp, migrate, seed, ready.
 * Every step may be repeated; a database found under the name is taken only if it is stamped as this
 * tenant's or holds nothing at all.
 *
 * @throws `name_taken` for anybody else's database; `conflict` for one being deleted
 */
export async function provisionTenant<Client, Adapters>(
  {
    provider,
    migrations,
    seed,
    createAdapters,
    steps,
    onIdentityMismatch: trouble,
  }: ProvisionContext<Client, Adapters>,
  tenantId: TenantId,
  name: string,
): Promise<LocatedDatabase> {
  const step = steps(tenantId)
  const { locator, created } = await step('create', (options) => provider.create(name, options))
  const database: LocatedDatabase = { locator, generation: 1, fresh: created }
  const client = await step('connect', (options) =>
    connectVerified(provider, tenantId, database, 'manage', trouble(tenantId, database), options),
  )
  const stamp = await step('stamp', async () => {
    const making = { created: database.fresh === true, migrations, ready: seed === undefined }
    try {
      return await ensureStamp(provider, client, { tenantId, generation: 1 }, making)
    } finally {
      database.fresh = false
    }
  })
  database.identity = stamp
  if (stamp.state === 'deprovisioning') {
    throw new TenancyError('conflict', 'The tenant is being deleted', {
      tenantId,
      step: 'stamp',
    })
  }
  if (migrations !== undefined && !stamp.migrated) {
    await step('migrate', ({ signal }) => migrate({ provider, client, migrations, tenantId, signal }))
  }
  if (stamp.state === 'ready') return database
  if (seed !== undefined) {
    const tenant = toTenant(tenantId, database)
    await step('seed', async () => seed(await createAdapters(client, tenant), tenant, { report: () => {} }))
  }
  await step('ready', () => moveStamp(provider, client, tenantId, stamp.uid, 'ready'))
  return database
}

/**
 * Deletes a tenant's database, found by `locator`, and is done only when the service no longer finds it.
 *
 * @throws `wrong_tenant` or `name_taken`, having deleted nothing, for a database that is not this tenant's
 */
export async function deprovisionTenant<Client>(
  provider: TenantProvider<Client>,
  tenantId: TenantId,
  name: string,
  step: Step,
): Promise<void> {
  const locator = await step('mark', async (options) => {
    const found = await provider.find(name, options)
    if (found === undefined) return undefined
    await markForDeletion(provider, { tenantId, generation: 1 }, found, options).catch((e) =>
      unlessGone(provider.mapError(e)),
    )
    return found
  })
  if (locator === undefined) return
  await step('drop', (options) => dropDatabase(provider, tenantId, name, locator, options))
}

/** Deletes a database that was marked for it, and is done only when the service no longer finds it. */
export async function dropDatabase<Client>(
  provider: TenantProvider<Client>,
  tenantId: TenantId,
  name: string,
  locator: Locator,
  options: CallOptions,
): Promise<void> {
  await provider.drop(locator, options)
  const left = await provider.find(name, options)
  // Another one of that name is somebody's who made the tenant anew meanwhile.
  if (left !== undefined && JSON.stringify(left) === JSON.stringify(locator)) {
    throw new TenancyError('provider_unavailable', 'The database is still there', { tenantId, retryAfter: 1 })
  }
}

/**
 * Moves the stamp to `deprovisioning`. A database that holds nothing has none and needs none.
 *
 * @throws `wrong_tenant`, `stale_tenant` or `name_taken` for a database that is not the expected one
 */
export async function markForDeletion<Client>(
  provider: TenantProvider<Client>,
  expected: ExpectedIdentity,
  locator: Locator,
  options: CallOptions,
): Promise<void> {
  const mark = async (): Promise<void> => {
    const client = await connectUnverified(provider, locator, options)
    const stamp = await findStamp(provider, client, expected.tenantId)
    if (stamp === undefined) return
    assertOwner(stamp, expected)
    await moveStamp(provider, client, expected.tenantId, stamp.uid, 'deprovisioning')
  }
  await mark().catch(async (cause: unknown) => {
    const { code } = provider.mapError(cause)
    if (provider.setAccess === undefined || code !== CLOSED) throw cause
    // A deletion that died on its way had shut it. Nobody is served by it: its stamp says so, or its record.
    await provider.setAccess(locator, 'open', options)
    await mark().catch(async (thrown: unknown) => {
      const error = notOpenYet(provider.mapError(thrown))
      // What turns out to be somebody else's stays as shut as it was.
      if (FOREIGN.has(error.code)) await provider.setAccess?.(locator, 'closed', options)
      throw error
    })
  })
}

/** What says that a database is not the expected one. */
export const FOREIGN: ReadonlySet<string> = new Set(['wrong_tenant', 'stale_tenant', 'name_taken'])

/** How a provider says that `setAccess` closed a database. */
const CLOSED: TenancyErrorCode = 'tenant_suspended'

/** The error of what is done to a database just opened: a service over many machines may need a moment to know it. */
export function notOpenYet(error: TenancyError): TenancyError {
  if (error.code !== CLOSED) return error
  return new TenancyError('provider_unavailable', 'The database is not open yet', {
    cause: error,
    retryAfter: 1,
  })
}

/** It was there a moment ago, so somebody else is deleting it too: look again. */
function unlessGone(error: TenancyError): never {
  if (error.code !== 'tenant_not_found' && error.code !== 'stale_tenant') throw error
  throw new TenancyError('provider_unavailable', 'The tenant is being deleted', { cause: error })
}

/**
 * The stamp, or `undefined` for a database that holds nothing.
 *
 * @throws `name_taken` for tables without a stamp
 */
async function findStamp<Client>(
  provider: TenantProvider<Client>,
  client: Client,
  tenantId: TenantId,
): Promise<Stamp | undefined> {
  const { dialect } = provider.capabilities
  const query: Query = (statement) => provider.query(client, statement)
  const stamp = await readStamp(dialect, query)
  if (stamp !== undefined || (await isEmpty(dialect, query))) return stamp
  // Whoever filled it between the two looks stamped it first.
  const late = await readStamp(dialect, query)
  if (late !== undefined) return late
  throw new TenancyError('name_taken', 'A database of this name holds data without our stamp', {
    tenantId,
  })
}

/** What may be done together with the stamp, in one batch, to a database that holds nothing. */
export interface Making {
  /** It was made just now, so there is nothing to look for first. */
  readonly created: boolean
  readonly migrations: Migrations | undefined
  /** Nothing but the migrations is to come before the tenant is ready. */
  readonly ready: boolean
}

/**
 * The stamp of exactly this tenant, written where the database holds nothing yet; where DDL is transactional together
 * with the migrations. What fails there happened not at all, and is done step by step, so that the culprit is named.
 *
 * @throws `name_taken` for tables without a stamp; `wrong_tenant`, `stale_tenant`
 */
export async function ensureStamp<Client>(
  provider: TenantProvider<Client>,
  client: Client,
  expected: ExpectedIdentity,
  making: Making,
): Promise<Stamp & { readonly migrated?: boolean }> {
  const { tenantId } = expected
  const { dialect, transactionalDdl } = provider.capabilities
  const owned = (stamp: Stamp): Stamp => {
    assertOwner(stamp, expected)
    return stamp
  }
  const identity = { ...expected, uid: expected.uid ?? crypto.randomUUID() }
  const whole =
    making.created && transactionalDdl ? await wholeOf(provider, client, identity, making) : undefined
  if (whole === undefined) {
    const found = await findStamp(provider, client, tenantId)
    if (found !== undefined) return owned(found)
  }
  // Two callers may both get here, and a reply may be lost: whichever row is there afterwards is the stamp.
  const failure = await provider.batch(client, whole?.statements ?? stampStatements(dialect, identity)).then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
  if (whole !== undefined && failure === undefined) return { ...identity, dirty: null, ...whole }
  const stamp = await readStamp(dialect, (statement) => provider.query(client, statement))
  if (stamp !== undefined) return owned(stamp)
  if (whole !== undefined) {
    // Only what the database has refused is tried in another way.
    const { code, retryable } = provider.mapError(failure?.error)
    if (!retryable && code !== 'internal' && code !== 'closed')
      return ensureStamp(provider, client, identity, { ...making, created: false })
  }
  throw failure?.error ?? new TenancyError('provider_unavailable', 'The stamp was not kept', { tenantId })
}

/** The stamp and the migrations of a new database, for one batch. */
async function wholeOf<Client>(
  provider: TenantProvider<Client>,
  client: Client,
  identity: Identity,
  { migrations, ready }: Making,
): Promise<{ statements: readonly Statement[]; state: StampState; migrated: boolean }> {
  const { dialect } = provider.capabilities
  const script = migrations && (await buildInitialScript(provider, client, migrations))
  const migrated = script?.complete ?? true
  const state = ready && migrated ? 'ready' : 'provisioning'
  const last = state === 'ready' ? [stampStateStatement(dialect, identity.uid, state)] : []
  return {
    statements: [...stampStatements(dialect, identity), ...(script?.statements ?? []), ...last],
    state,
    migrated,
  }
}

/**
 * Moves the stamp of exactly this database; to `ready` only while nobody has begun to delete it.
 *
 * @throws `conflict` when it is not there afterwards
 */
export async function moveStamp<Client>(
  provider: TenantProvider<Client>,
  client: Client,
  tenantId: TenantId,
  uid: string,
  state: StampState,
): Promise<void> {
  const { dialect } = provider.capabilities
  await provider.batch(client, [stampStateStatement(dialect, uid, state)])
  const stamp = await readStamp(dialect, (s) => provider.query(client, s))
  if (stamp?.uid === uid && stamp.state === state) return
  throw new TenancyError('conflict', 'The tenant is being deleted', { tenantId })
}

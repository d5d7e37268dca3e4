import type { Change } from '../catalog/tenants.ts'
import { connectVerified, toTenant } from '../database/connect.ts'
import { readStamp } from '../database/identity.ts'
import { migrate } from '../database/migrations/index.ts'
import {
  dropDatabase,
  ensureStamp,
  FOREIGN,
  markForDeletion,
  moveStamp,
  notOpenYet,
} from '../database/steps.ts'
import { TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { ExpectedIdentity } from '../types/identity.ts'
import type { OperationHooks } from '../types/lifecycle.ts'
import type { LocatedDatabase } from '../types/locate.ts'
import type { Report } from '../types/progress.ts'
import type { Locator } from '../types/provider.ts'
import type { OperationKind, TenantRecord } from '../types/record.ts'
import { IDENTITY_TABLE, statement } from '../util/dialect.ts'
import { hookError } from './hook-error.ts'
import { checkPlacement } from './placement.ts'

/** What a step finds when it begins. */
export interface StepContext {
  /** Read just before. */
  readonly record: TenantRecord
  readonly kind: OperationKind
  /** Milliseconds. */
  readonly retention: number
  readonly hooks: OperationHooks
  /** Changes the record, while this operation holds it. */
  readonly change: (change: Change) => Promise<void>
  readonly report: Report
}

/** Each may run again after any failure. Resolves with what is worth writing down. */
export type Steps = Readonly<Record<string, (context: StepContext) => Promise<string | undefined>>>

/** The steps of every operation, in order. Hooks are left out where an operation was not begun with them. */
export const PLANS: Readonly<Record<OperationKind, readonly string[]>> = {
  provision: ['create', 'stamp', 'migrate', 'seed', 'onProvision', 'ready', 'activate', 'afterCreate'],
  migrate: ['migrate', 'activate'],
  suspend: ['close'],
  resume: ['open', 'migrate', 'activate'],
  deprovision: ['open', 'onDeprovision', 'mark', 'close', 'delete', 'afterDelete'],
  undelete: ['open', 'reopen', 'migrate', 'activate', 'settle'],
  purge: ['open', 'drop', 'purge'],
}

export const HOOK_STEPS = ['onProvision', 'onDeprovision', 'afterCreate', 'afterDelete'] as const

/** What each step does to the tenant's database and record. One object for one run: it keeps the connection. */
export function createSteps<Client, Adapters>(core: FactoryContext<Client, Adapters>): Steps {
  const { provider, migrations, environment } = core
  const clients = new Map<string, Client>()
  /** Made by this run, just now: nothing can be in it yet. */
  let fresh: LocatedDatabase | undefined
  /** Opened by this run, just now. */
  let opened = false

  async function connect(record: TenantRecord): Promise<Client> {
    const key = JSON.stringify(record.locator)
    const kept = clients.get(key)
    if (kept !== undefined) return kept
    const database = fresh ?? databaseOf(record)
    const client = await core.steps(record.id)('connect', (call) =>
      connectVerified(
        provider,
        record.id,
        database,
        'manage',
        core.onIdentityMismatch(record.id, record),
        call,
      ).catch((cause: unknown) => {
        throw opened ? notOpenYet(provider.mapError(cause)) : cause
      }),
    )
    clients.set(key, client)
    return client
  }

  /** Where the database is; one whose `create` was never answered is looked for by its name. */
  async function locate({ record, change }: StepContext): Promise<Locator | undefined> {
    if (record.locator !== undefined) return record.locator
    const locator = await core.steps(record.id)('find', (call) => provider.find(record.name, call))
    if (locator !== undefined) await change({ locator: JSON.stringify(locator) })
    return locator
  }

  async function setAccess(context: StepContext, access: 'open' | 'closed'): Promise<string | undefined> {
    const { setAccess } = provider
    if (setAccess === undefined) return 'nothing to do here'
    // Nobody was let in yet; and what has its name may be anybody's.
    if (context.record.readyAt === undefined) return 'it was never ready'
    const locator = await locate(context)
    if (locator === undefined) return 'there is no database'
    return core.steps(context.record.id)(access === 'open' ? 'open' : 'close', async (call) => {
      try {
        await setAccess(locator, access, call)
        opened = access === 'open'
        return undefined
      } catch (cause) {
        return gone(provider.mapError(cause))
      }
    })
  }

  async function hook(context: StepContext, name: (typeof HOOK_STEPS)[number]): Promise<undefined> {
    await context.hooks[name]?.(context.record.id, { report: context.report })
  }

  async function afterwards(context: StepContext, name: 'afterCreate' | 'afterDelete') {
    try {
      await hook(context, name)
      return undefined
    } catch (cause) {
      // The thing is done, whatever a hook makes of it.
      const error = hookError(cause, context.record.id, name)
      try {
        context.hooks.onHookError?.(error)
      } catch {
        // Whoever is told of errors failed too.
      }
      return `failed: ${error.detail}`
    }
  }

  return {
    async create({ record, change }) {
      const { id, name, placement } = record
      // The options may be others than those it was asked under.
      checkPlacement(provider, placement)
      const made = await core.steps(id)('create', (call) =>
        provider.create(name, placement === undefined ? call : { ...call, placement }),
      )
      await change({ locator: JSON.stringify(made.locator) })
      if (!made.created) return 'found'
      fresh = { ...databaseOf({ ...record, locator: made.locator }), fresh: true }
      return 'created'
    },
    async stamp({ record }) {
      const unknown = (cause: unknown): never => {
        const error = provider.mapError(cause)
        throw error.code === 'stale_tenant' ? unknownStamp(record) : error
      }
      const client = await connect(record).catch(unknown)
      await core.steps(record.id)('stamp', async () => {
        const making = { created: fresh !== undefined, migrations, ready: false }
        try {
          return await ensureStamp(provider, client, identityOf(record), making).catch(unknown)
        } finally {
          if (fresh !== undefined) fresh.fresh = false
          fresh = undefined
        }
      })
      return record.uid
    },
    async migrate({ record }) {
      if (migrations === undefined) return '[]'
      const client = await connect(record)
      const applied = await core.steps(record.id)('migrate', ({ signal }) =>
        migrate({ provider, client, migrations, tenantId: record.id, signal }),
      )
      return JSON.stringify(applied)
    },
    async seed({ record, report }) {
      const { seed, createAdapters } = core
      if (seed === undefined) return undefined
      const client = await connect(record)
      const tenant = toTenant(record.id, databaseOf(record))
      await core.steps(record.id)('seed', async () => {
        await seed(await createAdapters(client, tenant), tenant, { report })
      })
      return undefined
    },
    onProvision: (context) => hook(context, 'onProvision'),
    onDeprovision: (context) => hook(context, 'onDeprovision'),
    afterCreate: (context) => afterwards(context, 'afterCreate'),
    afterDelete: (context) => afterwards(context, 'afterDelete'),
    async ready({ record }) {
      const client = await connect(record)
      await core.steps(record.id)('ready', () => moveStamp(provider, client, record.id, record.uid, 'ready'))
      return undefined
    },
    async activate({ record, kind, change }) {
      const newest = (await migrations?.load())?.at(-1)?.name
      const back = kind === 'undelete' && record.deletedFrom === 'suspended'
      await change({
        state: back ? 'suspended' : 'active',
        schema_version: newest ?? record.schemaVersion ?? null,
        ready_at: record.readyAt ?? environment.now(),
        deleted_at: null,
        deleted_from: null,
        purge_after: null,
      })
      return newest
    },
    open: (context) => setAccess(context, 'open'),
    close: (context) => setAccess(context, 'closed'),
    async settle(context) {
      return context.record.state === 'suspended' ? setAccess(context, 'closed') : undefined
    },
    async mark(context) {
      const locator = await locate(context)
      if (locator === undefined) return 'there is no database'
      const { record } = context
      return core.steps(record.id)('mark', async (call) => {
        try {
          await markForDeletion(provider, identityOf(record), locator, call)
          return undefined
        } catch (cause) {
          return notOurs(record, provider.mapError(cause)) ?? gone(provider.mapError(cause))
        }
      })
    },
    async delete({ record, change, retention }) {
      const now = environment.now()
      await change({ state: 'deleted', deleted_at: now, purge_after: now + retention })
      return record.locator === undefined ? 'there was no database' : undefined
    },
    async reopen({ record }) {
      const client = await connect(record)
      const { dialect } = provider.capabilities
      return core.steps(record.id)('reopen', async () => {
        const reopen = `UPDATE ${IDENTITY_TABLE} SET state = 'ready' WHERE slot = 1 AND uid = ? AND state = ?`
        await provider.batch(client, [statement(dialect, reopen, record.uid, 'deprovisioning')])
        const stamp = await readStamp(dialect, (read) => provider.query(client, read))
        if (stamp?.uid === record.uid && stamp.state === 'ready') return undefined
        throw new TenancyError('conflict', 'The database does not carry this incarnation’s stamp', {
          tenantId: record.id,
        })
      })
    },
    async drop(context) {
      const locator = await locate(context)
      if (locator === undefined) return 'there is no database'
      const { record } = context
      return core.steps(record.id)('drop', async (call) => {
        // The stamp is read once more: nothing is destroyed that is not exactly this incarnation.
        let missing: string | undefined
        try {
          await markForDeletion(provider, identityOf(record), locator, call)
        } catch (cause) {
          const foreign = notOurs(record, provider.mapError(cause))
          if (foreign !== undefined) return foreign
          missing = gone(provider.mapError(cause))
        }
        await dropDatabase(provider, record.id, record.name, locator, call)
        return missing
      })
    },
    async purge({ change }) {
      await change({ state: 'purged', locator: null, metadata: '{}', purge_after: null })
      return undefined
    },
  }
}

/**
 * Whether a migration that failed left the database half changed; in doubt where DDL cannot be undone. (The error does
 * not say: the same text may fail before its first statement and after it.)
 */
export async function isLeftDirty<Client, Adapters>(
  { provider, steps, onIdentityMismatch: trouble }: FactoryContext<Client, Adapters>,
  record: TenantRecord,
): Promise<boolean> {
  const { dialect, transactionalDdl } = provider.capabilities
  try {
    const stamp = await steps(record.id)('look', async (call) => {
      const database = databaseOf(record)
      const client = await connectVerified(
        provider,
        record.id,
        database,
        'manage',
        trouble(record.id, record),
        call,
      )
      return readStamp(dialect, (read) => provider.query(client, read))
    })
    return (stamp?.dirty ?? null) !== null
  } catch {
    return !transactionalDdl
  }
}

function identityOf({ id, generation, uid }: TenantRecord): ExpectedIdentity {
  return { tenantId: id, generation, uid }
}

function databaseOf({ id, generation, uid, locator }: TenantRecord): LocatedDatabase {
  if (locator === undefined) throw new TenancyError('internal', 'The record has no locator', { tenantId: id })
  return { locator, generation, identity: { tenantId: id, generation, uid } }
}

/** What is to be deleted and is not there is as good as deleted. */
function gone(error: TenancyError): string {
  if (error.code === 'tenant_not_found') return 'it was gone'
  throw error
}

/** A tenant that was never ready may have failed just because somebody else's database has its name. */
function notOurs({ readyAt }: TenantRecord, { code }: TenancyError): string | undefined {
  return readyAt === undefined && FOREIGN.has(code) ? 'left alone: it is somebody else’s' : undefined
}

function unknownStamp({ id, name }: TenantRecord): TenancyError {
  const message = `The database ${name} carries a stamp that the catalog does not know: adopt it, or remove it`
  return new TenancyError('name_taken', message, { tenantId: id })
}

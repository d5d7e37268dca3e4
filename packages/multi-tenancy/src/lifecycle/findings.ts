import type { TenantStore } from '../catalog/tenants.ts'
import { dropDatabase } from '../database/destroy.ts'
import { TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import { isTenantId } from '../tenant-id.ts'
import type { Stamp } from '../types/identity.ts'
import type { Finding } from '../types/lifecycle.ts'
import type { ListedDatabase, Locator } from '../types/provider.ts'
import type { TenantRecord } from '../types/record.ts'
import { inspectStamp } from './inventory.ts'
import type { Operations } from './operations.ts'

type Context = FactoryContext<any, any>

/** A finding before its age is known, with its repair. */
export type FindingDraft = Omit<Finding, 'firstSeen' | 'confirmed' | 'repair'> & {
  /** Repairs it, and resolves with the change, or the reason why nothing changed. */
  readonly fix: (() => Promise<string>) | undefined
}

const REPORT_ONLY = { repairable: false, fix: undefined } as const

/** A database that no record claims. Only one that carries the stamp of a purged tenant is dropped. */
export async function describeOrphan(
  context: Context,
  { name, locator }: ListedDatabase,
  records: ReadonlyMap<string, TenantRecord>,
): Promise<FindingDraft> {
  const base = { kind: 'orphan', name, tenantId: undefined, ...REPORT_ONLY } as const
  let stamp: Stamp | undefined
  try {
    stamp = await inspectStamp(context, name, locator)
  } catch (cause) {
    return { ...base, detail: `cannot be read: ${context.provider.mapError(cause).detail}` }
  }
  if (stamp === undefined) return { ...base, detail: 'carries no identity stamp' }
  const tenantId = isTenantId(stamp.tenantId) ? stamp.tenantId : undefined
  const { uid } = stamp
  const record = [...records.values()].find((candidate) => candidate.uid === uid)
  if (record === undefined) {
    const detail = 'carries the stamp of a tenant that the catalog does not know: adopt it'
    return { ...base, tenantId, detail }
  }
  if (record.state !== 'purged' || record.name !== name) {
    return { ...base, tenantId, detail: `carries the stamp of the database ${record.name}` }
  }
  return {
    ...base,
    tenantId,
    repairable: true,
    detail: 'still exists although its tenant was purged',
    async fix() {
      const current = await inspectStamp(context, name, locator)
      if (current?.uid !== uid) return 'left alone: its stamp changed'
      const database = { id: record.id, name, locator }
      await context.steps(record.id)('drop', (call) => dropDatabase(context.provider, database, call))
      return 'dropped'
    },
  }
}

/** A role, user or script whose database is gone. Only one of a purged tenant is dropped. */
export function describeLeftover(
  { provider, steps }: Context,
  { name, locator, leftover }: ListedDatabase,
  record: TenantRecord | undefined,
): FindingDraft {
  const base = {
    kind: 'leftover',
    name,
    tenantId: record?.id,
    detail: `its ${leftover} still exists`,
  } as const
  if (record?.state !== 'purged') return { ...base, ...REPORT_ONLY }
  return {
    ...base,
    repairable: true,
    async fix() {
      await steps(record.id)('drop', (call) => provider.drop(locator, call))
      return 'dropped'
    },
  }
}

/** A record whose database the service does not find; `undefined` where the service finds it after all. */
export async function describeMissing(
  { provider, steps, forget }: Context,
  tenants: TenantStore,
  record: TenantRecord,
): Promise<FindingDraft | undefined> {
  const { id, name, state, revision } = record
  const locator = await steps(id)('find', (call) => provider.find(name, call))
  if (locator !== undefined) return undefined
  return {
    kind: 'missing',
    name,
    tenantId: id,
    detail: `the tenant is ${state} and its database does not exist`,
    repairable: state !== 'failed',
    async fix() {
      const error = {
        code: 'tenant_not_found',
        message: "The tenant's database does not exist",
        step: 'reconcile',
        operation: record.lastOperation ?? '',
      } as const
      const guard = { states: [state], operation: null, revision }
      const { changed } = await tenants.update(record, guard, { state: 'failed', error })
      forget(id)
      return changed ? 'marked failed' : 'left alone: the record changed'
    },
  }
}

/** A database whose stamp is not that of its record; `undefined` where it is. */
export async function describeMismatch(
  context: Context,
  { id, name, uid, generation }: TenantRecord,
  locator: Locator,
): Promise<FindingDraft | undefined> {
  const base = { kind: 'mismatch', name, tenantId: id, ...REPORT_ONLY } as const
  const stamp = await inspectStamp(context, name, locator).catch((cause) => context.provider.mapError(cause))
  if (stamp instanceof TenancyError) {
    return { ...base, detail: `its identity stamp cannot be read: ${stamp.detail}` }
  }
  const isSame = stamp?.uid === uid && stamp.tenantId === id && stamp.generation === generation
  return isSame ? undefined : { ...base, detail: 'its identity stamp is not the one of the record' }
}

/** An operation whose lease has expired. */
export function describeStuck(
  operations: Pick<Operations, 'takeOver'>,
  record: TenantRecord,
): FindingDraft[] {
  const { operation, id } = record
  if (operation === undefined) return []
  return [
    {
      kind: 'stuck',
      name: operation.id,
      tenantId: id,
      detail: `${operation.kind}: the lease of its runner has expired`,
      repairable: true,
      async fix() {
        const outcome = await operations.takeOver(record)
        if (outcome === 'lost') return 'left alone: another runner holds it'
        return outcome.error === undefined ? 'finished' : `failed: ${outcome.error.detail}`
      },
    },
  ]
}

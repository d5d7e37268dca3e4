import type { SightingStore } from '../catalog/findings.ts'
import type { OperationStore } from '../catalog/operations.ts'
import type { TenantRef, TenantStore } from '../catalog/tenants.ts'
import { connectUnverified } from '../database/connect.ts'
import { readStamp } from '../database/identity.ts'
import { dropDatabase } from '../database/steps.ts'
import { TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import { isTenantId, type TenantId } from '../tenant-id.ts'
import type { Stamp } from '../types/identity.ts'
import type { Finding, ReconcileOptions, ReconcileReport } from '../types/lifecycle.ts'
import type { ListedDatabase, Locator } from '../types/provider.ts'
import type { TenantRecord } from '../types/record.ts'
import type { Engine } from './operations.ts'

export interface Reconciler {
  /** @throws what listing throws: with half a list nothing is judged */
  reconcile(options?: ReconcileOptions): Promise<ReconcileReport>
  purgeDue(limit: number): Promise<{ tenantId: string; generation: number; error?: TenancyError }[]>
}

type Draft = Omit<Finding, 'firstSeen' | 'confirmed' | 'repair'> & {
  readonly fix: (() => Promise<string>) | undefined
}

export function createReconciler<Client, Adapters>(
  core: FactoryContext<Client, Adapters>,
  tenants: TenantStore,
  operations: OperationStore,
  sightings: SightingStore,
  engine: Engine,
): Reconciler {
  const { provider, prefix, environment } = core

  async function records(): Promise<Map<string, TenantRecord>> {
    const found = new Map<string, TenantRecord>()
    let after: TenantRef | undefined
    for (;;) {
      const page = await tenants.all(after, 500)
      for (const record of page) found.set(record.name, record)
      after = page.at(-1)
      if (page.length < 500) return found
    }
  }

  async function databases(): Promise<Map<string, ListedDatabase>> {
    const found = new Map<string, ListedDatabase>()
    let cursor: string | undefined
    do {
      const query = cursor === undefined ? { prefix } : { prefix, cursor }
      const page = await core.steps(NOBODY)('list', (call) => provider.list(query, call))
      for (const database of page.databases) {
        const earlier = found.get(database.name)
        // A database and what else has its name: the database counts.
        if (earlier === undefined || earlier.leftover !== undefined) found.set(database.name, database)
      }
      cursor = page.cursor
    } while (cursor !== undefined)
    return found
  }

  function stampOf(name: string, locator: Locator): Promise<Stamp | undefined> {
    return core.steps(NOBODY)('inspect', async (call) => {
      const client = await connectUnverified(provider, locator, call)
      return readStamp(provider.capabilities.dialect, (read) => provider.query(client, read)).catch(
        (cause) => {
          const error = provider.mapError(cause)
          throw new TenancyError(error.code, `${name}: ${error.detail}`, { cause: error })
        },
      )
    })
  }

  /** A database that no record claims. Only one that a purged record of ours was stamped as is taken away. */
  async function orphan({ name, locator }: ListedDatabase, all: Map<string, TenantRecord>): Promise<Draft> {
    const base = { kind: 'orphan' as const, name, tenantId: undefined, repairable: false, fix: undefined }
    let stamp: Stamp | undefined
    try {
      stamp = await stampOf(name, locator)
    } catch (cause) {
      return { ...base, detail: `cannot be read: ${provider.mapError(cause).detail}` }
    }
    if (stamp === undefined) return { ...base, detail: 'carries no stamp' }
    const tenantId = isTenantId(stamp.tenantId) ? stamp.tenantId : undefined
    const { uid } = stamp
    const record = [...all.values()].find((known) => known.uid === uid)
    if (record === undefined) {
      return {
        ...base,
        tenantId,
        detail: 'carries the stamp of a tenant the catalog does not know: adopt it',
      }
    }
    if (record.state !== 'purged' || record.name !== name) {
      return { ...base, tenantId, detail: `carries the stamp of the database ${record.name}` }
    }
    return {
      ...base,
      tenantId,
      repairable: true,
      detail: 'is still there although its tenant was purged',
      async fix() {
        const again = await stampOf(name, locator)
        if (again?.uid !== uid) return 'left alone: its stamp changed'
        await core.steps(record.id)('drop', (call) => dropDatabase(provider, record.id, name, locator, call))
        return 'dropped'
      },
    }
  }

  function remains(
    { name, locator, leftover: what }: ListedDatabase,
    record: TenantRecord | undefined,
  ): Draft {
    const ours = record?.state === 'purged'
    return {
      kind: 'remains',
      name,
      tenantId: record?.id,
      detail: `its ${what} is left`,
      repairable: ours,
      fix: ours
        ? async () => {
            await core.steps(record.id)('drop', (call) => provider.drop(locator, call))
            return 'dropped'
          }
        : undefined,
    }
  }

  async function missing(record: TenantRecord): Promise<Draft | undefined> {
    const { id, name } = record
    const found = await core.steps(id)('find', (call) => provider.find(name, call))
    if (found !== undefined) return undefined
    return {
      kind: 'missing',
      name,
      tenantId: id,
      detail: `the tenant is ${record.state} and its database is not there`,
      repairable: record.state !== 'failed',
      async fix() {
        const error = {
          code: 'tenant_not_found',
          message: 'Its database is not there',
          step: 'reconcile',
          operation: record.lastOperation ?? '',
        }
        const { changed } = await tenants.update(
          record,
          { states: [record.state], operation: null, revision: record.revision },
          { state: 'failed', error: JSON.stringify(error) },
        )
        core.forget(id)
        return changed ? 'marked failed' : 'left alone: it changed'
      },
    }
  }

  async function mismatch(record: TenantRecord, locator: Locator): Promise<Draft | undefined> {
    const { id, name, uid, generation } = record
    const stamp = await stampOf(name, locator).catch((cause) => provider.mapError(cause))
    const same = !(stamp instanceof TenancyError) && stamp?.uid === uid && stamp.tenantId === id
    if (same && stamp.generation === generation) return undefined
    const detail =
      stamp instanceof TenancyError ? `its stamp cannot be read: ${stamp.detail}` : 'its stamp is another’s'
    return { kind: 'mismatch', name, tenantId: id, detail, repairable: false, fix: undefined }
  }

  async function stuck(): Promise<Draft[]> {
    const found = await operations.stuck(environment.now(), 500)
    return found.map((operation) => ({
      kind: 'stuck',
      name: operation.id,
      tenantId: operation.tenantId,
      detail: `${operation.kind}: its runner died`,
      repairable: true,
      async fix() {
        const outcome = await engine.resume(operation)
        if (outcome === 'lost') return 'left alone: another runner has it'
        return outcome.error === undefined ? 'finished' : `failed: ${outcome.error.detail}`
      },
    }))
  }

  return {
    async reconcile({ repair = [], grace = 3_600_000, stamps = false, maxDrops = 10 } = {}) {
      // A record is written before its database is made. So a database without one, read later, has none.
      const before = await records()
      const listed = await databases()
      const after = await records()
      const drafts: Draft[] = await stuck()
      for (const database of listed.values()) {
        const record = after.get(database.name)
        const purged = record === undefined || record.state === 'purged'
        if (database.leftover !== undefined) {
          if (purged) drafts.push(remains(database, record))
        } else if (purged && record?.operation === undefined) drafts.push(await orphan(database, after))
      }
      for (const record of before.values()) {
        const same = after.get(record.name)
        if (!atRest(same) || same.revision !== record.revision) continue
        const database = listed.get(record.name)
        if (database === undefined || database.leftover !== undefined) {
          const draft = await missing(same)
          if (draft !== undefined) drafts.push(draft)
        } else if (stamps && same.state === 'active') {
          const draft = await mismatch(same, same.locator ?? database.locator)
          if (draft !== undefined) drafts.push(draft)
        }
      }
      const seen = await sightings.note(drafts.map(keyOf))
      const now = environment.now()
      const findings: Finding[] = []
      let drops = 0
      for (const { fix, ...draft } of drafts) {
        const firstSeen = seen.get(keyOf(draft)) ?? now
        // An operation has its own measure of age: the end of its lease.
        const confirmed = firstSeen < now && now - firstSeen >= grace
        const finding = { ...draft, firstSeen, confirmed }
        const wanted = confirmed && fix !== undefined && repair.includes(draft.kind)
        const destroys = draft.kind === 'orphan' || draft.kind === 'remains'
        if (!wanted) findings.push(finding)
        else if (destroys && ++drops > maxDrops) {
          findings.push({ ...finding, repair: `left alone: ${maxDrops} were dropped already` })
        } else {
          const done = await fix().catch((cause) => `failed: ${provider.mapError(cause).detail}`)
          findings.push({ ...finding, repair: done })
        }
      }
      const living = [...after.values()].filter(({ state }) => state !== 'purged').length
      const advice =
        provider.diagnose === undefined
          ? []
          : await core.steps(NOBODY)(
              'diagnose',
              async (call) => (await provider.diagnose?.({ tenants: living }, call)) ?? [],
            )
      return { findings, advice, tenants: living, databases: listed.size }
    },
    async purgeDue(limit) {
      const results = []
      for (const record of await tenants.due(environment.now(), limit)) {
        const { generation, id } = record
        const done = await engine.purge(record).catch((cause: unknown) => TenancyError.from(cause))
        if (done !== false)
          results.push({ tenantId: id, generation, ...(done instanceof TenancyError && { error: done }) })
      }
      return results
    },
  }
}

/** Stands for the whole fleet in errors, which name a tenant. */
const NOBODY = 'fleet' as TenantId

function atRest(record: TenantRecord | undefined): record is TenantRecord {
  if (record === undefined || record.operation !== undefined) return false
  return ['active', 'suspended', 'deleted', 'failed'].includes(record.state) && record.locator !== undefined
}

function keyOf({ kind, name }: Pick<Finding, 'kind' | 'name'>): string {
  return `${kind}:${name}`
}

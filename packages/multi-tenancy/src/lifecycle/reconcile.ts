import type { FindingStore } from '../catalog/findings.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import { TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { Finding, ReconcileOptions, ReconcileReport, SweepReport } from '../types/lifecycle.ts'
import type { ListedDatabase } from '../types/provider.ts'
import type { TenantRecord } from '../types/record.ts'
import {
  describeLeftover,
  describeMismatch,
  describeMissing,
  describeOrphan,
  describeStuck,
  type FindingDraft,
} from './findings.ts'
import { FLEET, readDatabases, readRecords } from './inventory.ts'
import type { Operations } from './operations.ts'

export interface Reconciler {
  /** @throws what listing throws: an incomplete list yields no findings */
  reconcile(options?: ReconcileOptions): Promise<ReconcileReport>
  purgeDue(limit: number): Promise<SweepReport['purged']>
}

export interface ReconcilerParts<Client, Adapters> {
  readonly context: FactoryContext<Client, Adapters>
  readonly tenants: TenantStore
  readonly findings: FindingStore
  readonly runner: Operations
}

/** The catalog and the service as they were listed for one run. */
interface Inventory {
  readonly before: ReadonlyMap<string, TenantRecord>
  readonly databases: ReadonlyMap<string, ListedDatabase>
  readonly after: ReadonlyMap<string, TenantRecord>
}

export function createReconciler<Client, Adapters>(parts: ReconcilerParts<Client, Adapters>): Reconciler {
  const { context, tenants, runner } = parts
  const { provider, environment } = context
  return {
    async reconcile(options = {}) {
      // Records precede databases, so a listed database that a later read has no record of is an orphan.
      const before = await readRecords(tenants)
      const databases = await readDatabases(context)
      const after = await readRecords(tenants)
      const expired = await tenants.listExpiredLeases(environment.now(), 500)
      const inventory = { before, databases, after }
      const drafts = [
        ...expired.flatMap((record) => describeStuck(runner, record)),
        ...(await compareDatabases(parts, inventory)),
        ...(await compareRecords(parts, inventory, options)),
      ]
      const findings = await confirmAndRepair(parts, drafts, options)
      const living = [...after.values()].filter(({ state }) => state !== 'purged').length
      const advice = await context.steps(FLEET)(
        'diagnose',
        async (call) => (await provider.diagnose?.({ tenants: living }, call)) ?? [],
      )
      return { findings, advice, tenants: living, databases: databases.size }
    },
    async purgeDue(limit) {
      const results = []
      for (const record of await tenants.listPurgeable(environment.now(), limit)) {
        const { generation, id: tenantId } = record
        const result = await runner.purge(record).catch((cause: unknown) => TenancyError.from(cause))
        if (result === false) continue
        results.push({ tenantId, generation, ...(result instanceof TenancyError && { error: result }) })
      }
      return results
    },
  }
}

/** Findings about what the service lists: orphans and leftovers. */
async function compareDatabases<Client, Adapters>(
  { context }: ReconcilerParts<Client, Adapters>,
  { databases, after }: Inventory,
): Promise<FindingDraft[]> {
  const drafts: FindingDraft[] = []
  for (const database of databases.values()) {
    const record = after.get(database.name)
    const isUnclaimed = record === undefined || record.state === 'purged'
    if (!isUnclaimed) continue
    if (database.leftover !== undefined) drafts.push(describeLeftover(context, database, record))
    else if (record?.operation === undefined) drafts.push(await describeOrphan(context, database, after))
  }
  return drafts
}

/** Findings about records at rest: missing databases, and stamps that do not match. */
async function compareRecords<Client, Adapters>(
  { context, tenants }: ReconcilerParts<Client, Adapters>,
  { before, databases, after }: Inventory,
  { stamps = false }: ReconcileOptions,
): Promise<FindingDraft[]> {
  const drafts: FindingDraft[] = []
  for (const { name, revision } of before.values()) {
    const record = after.get(name)
    if (!isAtRest(record) || record.revision !== revision) continue
    const database = databases.get(name)
    const draft =
      database === undefined || database.leftover !== undefined
        ? await describeMissing(context, tenants, record)
        : stamps && record.state === 'active'
          ? await describeMismatch(context, record, record.locator ?? database.locator)
          : undefined
    if (draft !== undefined) drafts.push(draft)
  }
  return drafts
}

/** Confirms findings that an earlier run saw too, and repairs confirmed findings of the requested kinds. */
async function confirmAndRepair<Client, Adapters>(
  { context, findings }: ReconcilerParts<Client, Adapters>,
  drafts: readonly FindingDraft[],
  { repair = [], grace = 3_600_000, maxDrops = 10 }: ReconcileOptions,
): Promise<Finding[]> {
  const { provider, environment } = context
  const seen = await findings.recordSeen(drafts.map(toKey))
  const now = environment.now()
  const results: Finding[] = []
  let drops = 0
  for (const { fix, ...draft } of drafts) {
    const firstSeen = seen.get(toKey(draft)) ?? now
    const confirmed = firstSeen < now && now - firstSeen >= grace
    const finding = { ...draft, firstSeen, confirmed }
    const isDrop = draft.kind === 'orphan' || draft.kind === 'leftover'
    if (!confirmed || fix === undefined || !repair.includes(draft.kind)) results.push(finding)
    else if (isDrop && ++drops > maxDrops) {
      results.push({ ...finding, repair: `left alone: this run has dropped ${maxDrops} already (maxDrops)` })
    } else {
      const done = await fix().catch((cause) => `failed: ${provider.mapError(cause).detail}`)
      results.push({ ...finding, repair: done })
    }
  }
  return results
}

function isAtRest(record: TenantRecord | undefined): record is TenantRecord {
  if (record === undefined || record.operation !== undefined) return false
  return ['active', 'suspended', 'deleted', 'failed'].includes(record.state) && record.locator !== undefined
}

function toKey({ kind, name }: Pick<Finding, 'kind' | 'name'>): string {
  return `${kind}:${name}`
}

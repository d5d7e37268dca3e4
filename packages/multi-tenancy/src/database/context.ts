import type { TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { OperationHooks } from '../types/lifecycle.ts'
import type { Progress, Report } from '../types/progress.ts'
import type { CallOptions, TenantProvider } from '../types/provider.ts'
import type { TenantRecord } from '../types/record.ts'
import type { Tenant } from '../types/tenant-factory.ts'
import type { Migrations } from './migrations/index.ts'

/** Runs one step of a tenant's life with its retries, and names the step in errors. */
export type RunStep = <Value>(name: string, work: (options: CallOptions) => Promise<Value>) => Promise<Value>

/** What every step needs of the factory. */
export interface DatabaseContext<Client, Adapters> {
  readonly provider: TenantProvider<Client>
  readonly migrations: Migrations | undefined
  readonly createAdapters: (client: Client, tenant: Tenant) => Adapters | Promise<Adapters>
  readonly seed: ((adapters: Adapters, tenant: Tenant, progress: Progress) => Promise<void>) | undefined
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** How the steps of this tenant are run. */
  steps(tenantId: TenantId): RunStep
  /** Returns the callback for a connection that found its database gone (no error) or stamped otherwise. */
  onIdentityMismatch(
    tenantId: TenantId,
    incarnation: { readonly generation: number },
  ): (error?: TenancyError) => void
}

/** What the steps know of the tenant they work on: its record in the catalog, or what takes its place without one. */
export type TenantTarget = Pick<
  TenantRecord,
  | 'id'
  | 'generation'
  | 'name'
  | 'locator'
  | 'placement'
  | 'state'
  | 'schemaVersion'
  | 'readyAt'
  | 'deletedFrom'
> & {
  /** Of the identity stamp; without a catalog unknown until the stamp is read. */
  readonly uid: string | undefined
}

/** What a step changes of the target's record; `undefined` removes a value. */
export interface TargetChanges {
  readonly state?: TenantRecord['state']
  readonly metadata?: TenantRecord['metadata']
  readonly locator?: TenantRecord['locator']
  readonly schemaVersion?: TenantRecord['schemaVersion']
  readonly readyAt?: TenantRecord['readyAt']
  readonly deletedAt?: TenantRecord['deletedAt']
  readonly deletedFrom?: TenantRecord['deletedFrom']
  readonly purgeAfter?: TenantRecord['purgeAfter']
}

/** What a step receives. */
export interface StepInput<Client, Adapters> {
  readonly context: DatabaseContext<Client, Adapters>
  readonly session: DatabaseSession<Client>
  /** Read immediately before the step. */
  readonly target: TenantTarget
  /** Milliseconds a deleted tenant's database is kept. */
  readonly retention: number
  readonly hooks: OperationHooks
  readonly report: Report
}

/** What a step returns: a detail for the history, and what to change of the target. */
export interface StepResult {
  readonly detail?: string | undefined
  readonly changes?: TargetChanges | undefined
}

/** What one run of an operation knows of the tenant's database: its connection, and what the run itself did to it. */
export interface DatabaseSession<Client> {
  /** A client that checks the identity stamp first; one for each locator. */
  connect(target: TenantTarget): Promise<Client>
  /** This run created the database, and it carries no stamp yet. */
  readonly isUnstamped: boolean
  /** What the step `stamp` of this run found or wrote. */
  readonly stamp: StampResult | undefined
  /** Without a catalog no hook runs between the seed and `ready`: the initial batch may mark the database ready. */
  readonly marksReadyWithStamp: boolean
  /** This run has just marked the database for deletion. */
  readonly isMarkedDeleted: boolean
  noteCreated(): void
  noteStamped(stamp: StampResult): void
  /** This run opened access; a service over many machines may need a moment to apply that. */
  noteAccessOpened(): void
  noteMarkedDeleted(): void
}

export interface StampResult {
  readonly uid: string
  /** Every step of provision is done. */
  readonly isReady: boolean
  /** The names of the migrations that were applied in one batch with the stamp. */
  readonly migrated: readonly string[] | undefined
}

import type { TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Progress } from './progress.ts'
import type {
  Operation,
  OperationKind,
  StepEvent,
  TenantFilter,
  TenantMetadata,
  TenantPage,
  TenantRecord,
} from './record.ts'

/**
 * The durable life of tenants. Every change is a recorded operation, one at a time for each tenant, that another process
 * finishes when this process crashes. Tenant ids are checked (`invalid_tenant_id`).
 * A call whose operation is already under way joins it. Records are plain data.
 */
export interface Lifecycle {
  /**
   * Creates a tenant, or continues or confirms it; a deleted or purged id becomes a new incarnation.
   * @throws `conflict` while it is suspended, deleted or another operation runs, and for one that exists when
   * `exclusive`; what the step that failed threw
   */
  provision(tenantId: string, options?: ProvisionOptions): Promise<TenantRecord>
  /**
   * Brings the tenant's database to the newest migration; it is served meanwhile. Resolves with the names applied.
   * @throws `tenant_suspended` for one that is not active, `migration_failed`, …
   */
  migrate(tenantId: string): Promise<readonly string[]>
  /** Stops serving the tenant; other processes see it within `stateMaxAge`. Again: confirms. */
  suspend(tenantId: string, options?: OperationOptions): Promise<TenantRecord>
  /** Serves a suspended tenant again, at the newest migration. Again: confirms. */
  resume(tenantId: string, options?: OperationOptions): Promise<TenantRecord>
  /**
   * Stops serving the tenant, ends its connections and credentials and marks it deleted; the database is kept for
   * `retention`. Unknown or deleted: done already.
   */
  deprovision(tenantId: string, options?: DeprovisionOptions): Promise<TenantRecord | undefined>
  /**
   * Brings a deleted tenant back as it was.
   * @throws `tenant_not_found` for one that is not there or purged, `conflict` for one that a newer incarnation
   * took the place of or that was never ready
   */
  undelete(tenantId: string, options?: OperationOptions): Promise<TenantRecord>
  /**
   * Destroys a deleted tenant's database for good, after `retention` or with its `uid` repeated before. The record
   * stays. Refuses a database whose stamp is not this incarnation's.
   */
  purge(tenantId: string, options?: PurgeOptions): Promise<TenantRecord>
  /** Does again what failed last. Without a failure: confirms. */
  retry(tenantId: string, options?: OperationOptions): Promise<TenantRecord>
  /** Replaces members of the metadata; `null` removes one. Other writers' members stay. */
  update(tenantId: string, metadata: TenantMetadata, options?: BeforeOptions): Promise<TenantRecord>
  /** @throws `tenant_not_found` for one that never was or is purged */
  get(tenantId: string): Promise<TenantRecord>
  list(query?: ListQuery): Promise<TenantPage & { readonly total?: number }>
  /** A tenant's operations, those of earlier incarnations too, newest first. */
  operations(
    tenantId: string,
    query?: { cursor?: string | undefined; limit?: number | undefined },
  ): Promise<{ readonly operations: readonly Operation[]; readonly cursor?: string }>
  /** @throws `tenant_not_found` for an unknown operation id */
  operation(operationId: string): Promise<OperationDetail>
  /**
   * Runs an operation whose runner died, or that waits for an executor; `step` is how its steps are run (the
   * `step` of a Cloudflare Workflow fits). Resolves when it is settled, or another runner has it.
   */
  run(operationId: string, options?: RunOptions): Promise<void>
  /** Finishes operations whose runner crashed, and purges tenants whose retention has ended. Call it from a timer. */
  sweep(options?: SweepOptions): Promise<SweepReport>
  /** Compares catalog and service. Changes nothing unless `repair` says what. */
  reconcile(options?: ReconcileOptions): Promise<ReconcileReport>
  /**
   * Records a database that was created before there was a catalog, as it is.
   * @throws `tenant_not_found` when there is none, `conflict` for a tenant that has a record, `wrong_tenant` for a
   * database stamped otherwise
   */
  adopt(tenantId: string): Promise<TenantRecord>
  /**
   * Sets what runs inside operations; once, by `setupMultiTenancy`. While `onProvision` or `onDeprovision` runs in
   * this process, a plain `provision` or `deprovision` of that very tenant returns immediately: the hook may call it.
   */
  attachHooks(hooks: OperationHooks): void
}

export interface BeforeOptions {
  /**
   * Awaited before anything is written, once and only when there is something to do: not for a repeated request, and
   * not for a call that is confirmed or rejected. An error that it throws rejects the call.
   */
  readonly before?: (() => void | Promise<void>) | undefined
}

export interface OperationOptions extends BeforeOptions {
  /** A repeated request with this key joins or returns the first one's operation; `hash` identifies its content. */
  readonly request?: { readonly key: string; readonly hash: string } | undefined
  /** Whether to wait until the operation is settled, where an executor runs it elsewhere. @default true */
  readonly wait?: boolean
  /** Run the attached hooks with it. @default false */
  readonly hooks?: boolean
}

export interface ProvisionOptions extends OperationOptions {
  readonly metadata?: TenantMetadata | undefined
  /** Given to the provider's `create`. */
  readonly placement?: string | undefined
  /** Refuse a tenant that exists. @default false */
  readonly exclusive?: boolean
}

export interface DeprovisionOptions extends OperationOptions {
  /** Milliseconds the database is kept; 0 purges immediately. @default the catalog's `retention` */
  readonly retention?: number | undefined
}

export interface PurgeOptions extends OperationOptions {
  /** The record's `uid`, to purge before its retention ends. */
  readonly uid?: string | undefined
}

export interface ListQuery extends TenantFilter {
  /** From the page before. */
  readonly cursor?: string | undefined
  /** At most 100. @default 50 */
  readonly limit?: number | undefined
  /** Count all that match too. @default false */
  readonly total?: boolean | undefined
}

/** An operation with its steps, in order. */
export interface OperationDetail extends Operation {
  readonly steps: readonly StepEvent[]
}

/**
 * How the steps of an operation are run. The inline one calls `work` immediately; a durable engine stores results,
 * which are plain JSON.
 */
export interface StepRunner {
  do<Result extends string | null>(name: string, work: () => Promise<Result>): Promise<Result>
}

export interface RunOptions {
  /** @default inline, in this process */
  readonly step?: StepRunner
  /** A name that stays the same when a durable engine restarts its run. @default random */
  readonly owner?: string
}

export interface SweepOptions {
  /** Operations to finish and tenants to purge at most, each. @default 50 */
  readonly limit?: number
}

export interface SweepReport {
  /** Operations that were finished, with how they ended. */
  readonly finished: readonly { id: string; kind: OperationKind; tenantId: string; error?: TenancyError }[]
  readonly purged: readonly { tenantId: string; generation: number; error?: TenancyError }[]
}

/** Code of the app that runs as steps of operations begun with `hooks`; each hook may run again after a crash. */
export interface OperationHooks {
  onProvision?(tenantId: TenantId, progress: Progress): void | Promise<void>
  onDeprovision?(tenantId: TenantId, progress: Progress): void | Promise<void>
  afterCreate?(tenantId: TenantId, progress: Progress): void | Promise<void>
  afterDelete?(tenantId: TenantId, progress: Progress): void | Promise<void>
  /** Receives what an `after…` hook threw: the operation has already succeeded. */
  onHookError?(error: TenancyError): void
}

/** Without a catalog little more than its id is known of a tenant. */
export type TenantInfo = Pick<TenantRecord, 'id' | 'state'> & Partial<TenantRecord>

/** What `Tenants` takes of an operation's options: the hooks are its own business. */
type Asked<Options extends OperationOptions> = Omit<Options, 'hooks' | 'before'>

/**
 * Tenant management in process, hooks included. Who calls it is trusted; `multiTenancy.app` asks who it is first.
 * Without a catalog there are `create`, `get` and `delete`, without their options; all else throws `not_supported`.
 * What each throws beside is what `Lifecycle` says, and what its hooks throw.
 */
export interface Tenants<Info extends TenantInfo = TenantInfo> {
  /** Creates a tenant with its database. Calling it again continues or confirms. */
  create(tenantId: string, options?: Asked<ProvisionOptions>): Promise<Info>
  /** With a catalog a tenant in any state but purged; without one a tenant that can be served. */
  get(tenantId: string): Promise<Info>
  list(query?: ListQuery): Promise<TenantPage & { readonly total?: number }>
  /** Replaces members of the metadata; `null` removes one. */
  update(tenantId: string, metadata: TenantMetadata): Promise<Info>
  /** Deletes a tenant; with a catalog its database is kept for `retention`. Absent is done. */
  delete(tenantId: string, options?: Asked<DeprovisionOptions>): Promise<Info | undefined>
  undelete(tenantId: string, options?: Asked<OperationOptions>): Promise<Info>
  purge(tenantId: string, options?: Asked<PurgeOptions>): Promise<Info>
  suspend(tenantId: string, options?: Asked<OperationOptions>): Promise<Info>
  resume(tenantId: string, options?: Asked<OperationOptions>): Promise<Info>
  retry(tenantId: string, options?: Asked<OperationOptions>): Promise<Info>
  operations: Lifecycle['operations']
  operation: Lifecycle['operation']
}

/**
 * What does not fit together:
 * - `orphan`: a database under our prefix that no record claims
 * - `leftover`: a user, role or script whose database is gone and that no living record claims
 * - `missing`: a record of a tenant whose database is not there
 * - `mismatch`: a database whose stamp is not its record's
 * - `stuck`: an operation whose runner died
 */
export type FindingKind = 'orphan' | 'leftover' | 'missing' | 'mismatch' | 'stuck'

export interface Finding {
  readonly kind: FindingKind
  /** The database's name, or the operation's id. */
  readonly name: string
  readonly tenantId: string | undefined
  /** For people. */
  readonly detail: string
  /** Whether `repair` would do something about it, once it is old enough and was seen twice. */
  readonly repairable: boolean
  /** Milliseconds since the epoch: the first of the runs in a row that saw it. */
  readonly firstSeen: number
  /** It was seen by an earlier run too, and for at least `grace`. */
  readonly confirmed: boolean
  /** What `repair` did, or why it did not. */
  readonly repair?: string
}

export interface ReconcileOptions {
  /** The kinds of confirmed findings to repair. @default none */
  readonly repair?: readonly FindingKind[]
  /** Milliseconds for which a finding must have been seen. @default 3_600_000 */
  readonly grace?: number
  /** Read every served tenant's stamp: a connection each. @default false */
  readonly stamps?: boolean
  /** Databases dropped at most. @default 10 */
  readonly maxDrops?: number
}

export interface ReconcileReport {
  readonly findings: readonly Finding[]
  /** What of the service's limits and settings does not fit the fleet. */
  readonly advice: readonly string[]
  readonly tenants: number
  readonly databases: number
}

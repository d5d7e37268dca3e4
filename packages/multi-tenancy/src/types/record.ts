import type { TenancyErrorCode } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Locator } from './provider.ts'

/**
 * Where a tenant is in its life. Served are `active` and `upgrading` alone. `deleted` keeps the database until
 * its retention ends, `purged` is the record that stays; `failed` says in `error` at which step.
 */
export type TenantState =
  | 'provisioning'
  | 'active'
  | 'upgrading'
  | 'suspended'
  | 'deprovisioning'
  | 'deleted'
  | 'purged'
  | 'failed'

/** Every state, in the order of a life. */
export const TENANT_STATES: readonly TenantState[] = [
  'provisioning', 'active', 'upgrading', 'suspended', 'deprovisioning', 'deleted', 'purged', 'failed',
] // biome-ignore format: one list

/** What an app keeps with a tenant; the library only stores it. At most 4 KB as JSON. */
export type TenantMetadata = Readonly<Record<string, string | number | boolean | null>>

/** One incarnation of a tenant id, as the catalog has it. Times are milliseconds since the epoch. */
export interface TenantRecord {
  readonly id: TenantId
  /** Which incarnation of the id, from 1. */
  readonly generation: number
  /** Of the identity stamp in the tenant database. */
  readonly uid: string
  /** The physical name; no other incarnation or tenant ever has it. */
  readonly name: string
  /** Absent until the database was created. */
  readonly locator: Locator | undefined
  readonly placement: string | undefined
  readonly state: TenantState
  /** The last migration that was applied by an operation. */
  readonly schemaVersion: string | undefined
  readonly metadata: TenantMetadata
  /** Why the last operation failed, if it did. */
  readonly error: OperationError | undefined
  /** The operation under way: no other one begins before it ends. */
  readonly operation: RunningOperation | undefined
  /** The id of the operation under way, else of the last one that ended. */
  readonly lastOperation: string | undefined
  /** A later incarnation has replaced this one, so this one cannot be undeleted. */
  readonly superseded: boolean
  /** Random, new with every change. */
  readonly revision: string
  readonly createdAt: number
  readonly updatedAt: number
  /** When it was first active; undefined while it never was. */
  readonly readyAt: number | undefined
  readonly deletedAt: number | undefined
  /** The state that `undelete` gives back. */
  readonly deletedFrom: TenantState | undefined
  /** From when on a `deleted` tenant is purged. */
  readonly purgeAfter: number | undefined
}

/** The kinds of operations on a tenant. */
export type OperationKind =
  | 'provision'
  | 'migrate'
  | 'suspend'
  | 'resume'
  | 'deprovision'
  | 'undelete'
  | 'purge'

/** The error of an operation, for operators: without cause and secrets. */
export interface OperationError {
  readonly code: TenancyErrorCode
  readonly message: string
  /** The step that failed. */
  readonly step: string | undefined
  /** Seconds after which another try may succeed. */
  readonly retryAfter?: number | undefined
  readonly operation: string
}

/**
 * The operation that holds a tenant. It is stored in the tenant's own record, which is the lock: an operation begins
 * and ends with one compare-and-set on that row.
 */
export interface RunningOperation {
  readonly id: string
  readonly kind: OperationKind
  /** The runner that holds the lease; empty while the operation waits for an executor. */
  readonly owner: string
  /** Milliseconds since the epoch: from then on another runner may take the operation over. */
  readonly leaseUntil: number
  /** How many runners have worked on it: above 1, another runner took over from one whose lease expired. */
  readonly attempt: number
  readonly params: OperationParams
}

/** An operation in a tenant's history. */
export interface Operation {
  /** A UUID: random, or derived from the request key. */
  readonly id: string
  readonly tenantId: TenantId
  readonly generation: number
  readonly kind: OperationKind
  readonly state: 'running' | 'succeeded' | 'failed'
  /** See `RunningOperation.attempt`. */
  readonly attempt: number
  readonly params: OperationParams
  readonly error: OperationError | undefined
  readonly createdAt: number
  readonly finishedAt: number | undefined
}

/** The parameters of an operation. */
export interface OperationParams {
  /** Milliseconds a deleted tenant is kept. */
  readonly retention?: number
  readonly metadata?: TenantMetadata
  readonly placement?: string
  /** The state before the operation; a failure that changed nothing returns to it. */
  readonly from?: TenantState
  /** The attached hooks are part of it: only a process that has hooks attached may run it. */
  readonly hooks?: boolean
  /** A hash of the request that began it, where the request had a key. */
  readonly requestHash?: string
}

/** One try of one step. */
export interface StepEvent {
  readonly attempt: number
  readonly step: string
  readonly outcome: 'started' | 'succeeded' | 'failed'
  /** What the step created, reported or failed with. */
  readonly detail: string | undefined
  readonly startedAt: number
  readonly finishedAt: number | undefined
}

/** What `list` may be narrowed by; all of it must hold. */
export interface TenantFilter {
  /** @default every state but `purged` */
  readonly state?: TenantState | readonly TenantState[]
  /** A prefix of the id, compared byte by byte. */
  readonly idPrefix?: string
  /** Milliseconds since the epoch, inclusive. */
  readonly createdAfter?: number
  /** Milliseconds since the epoch, exclusive. */
  readonly createdBefore?: number
  readonly placement?: string
}

/** One page, in ascending order of ids; `cursor` is absent on the last. */
export interface TenantPage {
  readonly tenants: readonly TenantRecord[]
  readonly cursor?: string
}

import { notFound, TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { OperationKind, TenantRecord, TenantState } from '../types/record.ts'

/** A tenant's state with what else of its record decides: what it failed at, and whether it was ever ready. */
export type Situation =
  | 'unknown'
  | 'provisioning'
  | 'provision failed'
  | 'active'
  | 'upgrading'
  | 'suspended'
  | 'suspend failed'
  | 'failed'
  | 'deprovisioning'
  | 'deprovision failed'
  | 'deleted'
  | 'deleted, never ready'
  | 'superseded'
  | 'purged'

/**
 * What an operation does in a situation:
 * - `begin`: it begins on the record
 * - `recreate`: it begins with a new incarnation
 * - `confirm`: there is nothing to do, and the record is returned
 * - `ignore`: there is nothing to do, and nothing is returned
 * - else the call is rejected with that error
 */
export type Transition = 'begin' | 'recreate' | 'confirm' | 'ignore' | Rejection

export type Rejection = 'tenant_not_found' | 'tenant_not_ready' | 'tenant_suspended' | 'conflict'

/** The columns of the table. */
export const OPERATIONS: readonly OperationKind[] = [
  'provision', 'migrate', 'suspend', 'resume', 'deprovision', 'undelete', 'purge',
] // biome-ignore format: one list

const NOT_FOUND = 'tenant_not_found'
const NOT_READY = 'tenant_not_ready'

/**
 * Situation × operation, of a tenant that no operation holds. docs/catalog.md prints this table, and the model test
 * takes its expectations from it. `migrate` confirms a tenant that has the newest migration; `purge` begins before the
 * end of the retention only with the record's `uid`.
 */
export const TRANSITIONS: Readonly<Record<Situation, Readonly<Record<OperationKind, Transition>>>> = {
  unknown:                { provision: 'recreate', migrate: NOT_FOUND,          suspend: NOT_FOUND,  resume: NOT_FOUND,  deprovision: 'ignore',  undelete: NOT_FOUND,  purge: NOT_FOUND },
  provisioning:           { provision: 'begin',    migrate: NOT_READY,          suspend: 'conflict', resume: 'conflict', deprovision: 'begin',   undelete: 'conflict', purge: 'conflict' },
  'provision failed':     { provision: 'begin',    migrate: NOT_READY,          suspend: 'conflict', resume: 'conflict', deprovision: 'begin',   undelete: 'conflict', purge: 'conflict' },
  active:                 { provision: 'confirm',  migrate: 'begin',            suspend: 'begin',    resume: 'confirm',  deprovision: 'begin',   undelete: 'confirm',  purge: 'conflict' },
  upgrading:              { provision: 'confirm',  migrate: NOT_READY,          suspend: 'conflict', resume: 'conflict', deprovision: 'begin',   undelete: 'conflict', purge: 'conflict' },
  suspended:              { provision: 'conflict', migrate: 'tenant_suspended', suspend: 'confirm',  resume: 'begin',    deprovision: 'begin',   undelete: 'confirm',  purge: 'conflict' },
  'suspend failed':       { provision: 'conflict', migrate: 'tenant_suspended', suspend: 'begin',    resume: 'begin',    deprovision: 'begin',   undelete: 'confirm',  purge: 'conflict' },
  failed:                 { provision: 'conflict', migrate: 'begin',            suspend: 'begin',    resume: 'begin',    deprovision: 'begin',   undelete: 'conflict', purge: 'conflict' },
  deprovisioning:         { provision: 'conflict', migrate: NOT_FOUND,          suspend: NOT_FOUND,  resume: NOT_FOUND,  deprovision: 'begin',   undelete: 'conflict', purge: 'conflict' },
  'deprovision failed':   { provision: 'conflict', migrate: NOT_READY,          suspend: 'conflict', resume: 'conflict', deprovision: 'begin',   undelete: 'conflict', purge: 'conflict' },
  deleted:                { provision: 'recreate', migrate: NOT_FOUND,          suspend: NOT_FOUND,  resume: NOT_FOUND,  deprovision: 'confirm', undelete: 'begin',    purge: 'begin' },
  'deleted, never ready': { provision: 'recreate', migrate: NOT_FOUND,          suspend: NOT_FOUND,  resume: NOT_FOUND,  deprovision: 'confirm', undelete: 'conflict', purge: 'begin' },
  superseded:             { provision: 'recreate', migrate: NOT_FOUND,          suspend: NOT_FOUND,  resume: NOT_FOUND,  deprovision: 'ignore',  undelete: 'conflict', purge: 'begin' },
  purged:                 { provision: 'recreate', migrate: NOT_FOUND,          suspend: NOT_FOUND,  resume: NOT_FOUND,  deprovision: 'confirm', undelete: NOT_FOUND,  purge: 'confirm' },
} // biome-ignore format: a table

/** The state that a tenant gets when an operation begins; `undefined`: it keeps its state. */
export const STATE_WHILE: Readonly<Record<OperationKind, TenantState | undefined>> = {
  provision: 'provisioning',
  migrate: 'upgrading',
  suspend: 'suspended',
  resume: undefined,
  deprovision: 'deprovisioning',
  undelete: undefined,
  purge: undefined,
}

/** The state that a tenant gets when an operation fails; `undefined`: the state it had before. */
export const STATE_AFTER_FAILURE: Readonly<Record<OperationKind, TenantState | undefined>> = {
  provision: 'failed',
  migrate: undefined,
  suspend: 'suspended',
  resume: undefined,
  deprovision: 'failed',
  undelete: 'deleted',
  purge: 'deleted',
}

/** The situation of a tenant's latest record. */
export function classifySituation(record: TenantRecord | undefined): Situation {
  if (record === undefined) return 'unknown'
  const { state, readyAt, deletedFrom, error, superseded } = record
  if (state === 'purged') return 'purged'
  if (superseded) return 'superseded'
  if (state === 'failed') {
    if (deletedFrom !== undefined) return 'deprovision failed'
    return readyAt === undefined ? 'provision failed' : 'failed'
  }
  if (state === 'deleted' && readyAt === undefined) return 'deleted, never ready'
  if (state === 'suspended' && error !== undefined) return 'suspend failed'
  return state
}

/** The error of a rejected operation. */
export function rejection(
  code: Rejection,
  operation: OperationKind,
  situation: Situation,
  tenantId: TenantId,
): TenancyError {
  if (code === 'tenant_not_found') return notFound(tenantId)
  const message = REASONS[`${operation}: ${situation}`] ?? `Cannot ${operation}: the tenant is ${situation}`
  return new TenancyError(code, message, { tenantId })
}

/** Reasons that the name of the situation does not give. */
const REASONS: Readonly<Record<string, string>> = {
  'migrate: suspended': 'The tenant is suspended; it is migrated when it is resumed',
  'migrate: suspend failed': 'The tenant is suspended; it is migrated when it is resumed',
  'undelete: superseded': 'Cannot undelete: a newer incarnation has replaced it',
  'undelete: deleted, never ready':
    'Cannot undelete: provisioning never completed. Purge the tenant and provision it again',
}

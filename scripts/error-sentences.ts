import type { TenancyErrorCode } from '../packages/multi-tenancy/src/errors.ts'

/** When each code comes, for the tables that `error-table.ts` writes. */
export const SENTENCES: Readonly<Record<TenancyErrorCode, string>> = {
  invalid_tenant_id: 'an id is not 1 to 63 characters of `a-z`, `0-9` and single inner `-`, or is reserved',
  tenant_unresolved: 'the request names no tenant: another host, a reserved label, no token',
  tenant_ambiguous: 'the request names two tenants, or its URL and `Host` two hosts',
  tenant_not_found: "no such tenant, one being deleted, or one out of the caller's reach: all answer alike",
  tenant_not_ready: 'the tenant is still being provisioned, or its connections are being closed',
  tenant_suspended:
    'the tenant is suspended, or its database was closed: also as the first step of a deletion',
  unauthenticated: 'the request carries no accepted token',
  forbidden: 'tenant routes: the caller is not the control plane, or wants to delete its own tenant',
  invalid_request: 'the host or a body cannot be read, or an argument is out of range',
  wrong_tenant: "the database reached is stamped as another tenant's; quarantined here until `release`",
  stale_tenant: 'the database was made anew since it was looked up; the next try looks again',
  name_taken: "a database of the tenant's physical name holds data and no stamp of ours",
  conflict:
    'something else is being done to the tenant, its state forbids it, or what should be repaired is not broken',
  migration_failed: 'a migration was refused; `step` names it, `cause` says why',
  migration_changed: 'the text of a migration changed after it was applied',
  migration_missing: 'an applied migration is not in the code, or a new one sorts before an applied one',
  migration_dirty: 'a migration stopped half way where nothing could undo it: see `repairMigration`',
  migration_locked: 'another process is migrating this tenant',
  provider_rejected: 'the service or the database refused for good',
  provider_unavailable: 'the service or the database does not answer, or is busy',
  credentials_rejected: 'the service refused the token, user or password it was shown',
  quota_exceeded: 'the account or server takes no more databases',
  rate_limited: 'the service asked to slow down for longer than the call may wait',
  timeout: 'no answer in time',
  pool_exhausted: 'no connection of the server or the tenant became free in time',
  statement_refused: "a statement would have reached beyond the tenant's database",
  not_supported: 'this set-up cannot do that: no `onProvision`, or no catalog',
  config_invalid: 'a set-up mistake, thrown while constructing; the message names the option',
  closed: 'the factory, the pool or the lease was closed before',
  internal: 'code without an error code of its own threw: a hook, `authorize`, `createAdapters`, or ours',
}

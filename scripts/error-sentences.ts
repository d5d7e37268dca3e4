import type { TenancyErrorCode } from '../packages/multi-tenancy/src/errors.ts'

/** When each code occurs, for the tables that `error-table.ts` writes. */
export const SENTENCES: Readonly<Record<TenancyErrorCode, string>> = {
  invalid_tenant_id: 'The id is reserved, or is not 1 to 63 characters of `a-z`, `0-9` and single inner `-`.',
  tenant_unresolved: 'The request names no tenant: a foreign host, a reserved label, or no token.',
  tenant_ambiguous: 'The request names two tenants, or its URL and `Host` name two hosts.',
  tenant_not_found: 'The tenant does not exist, is being deleted, or is not accessible to the caller.',
  tenant_not_ready: 'The tenant is still being provisioned, or its connections are being closed.',
  tenant_suspended: 'The tenant is suspended, or a deletion has closed its database.',
  unauthenticated: 'The request has no valid token.',
  forbidden: 'Tenants API: the caller is not the control plane, or tries to delete its own tenant.',
  invalid_request: 'The host or the body is malformed, or an argument is out of range.',
  wrong_tenant:
    "The database has another tenant's identity stamp. The tenant is quarantined until `release`.",
  stale_tenant: 'The database was recreated after its last lookup. The next request finds the new one.',
  name_taken: "A database with the tenant's physical name holds data and has no identity stamp.",
  conflict: 'Another operation on the tenant is running, or its state does not allow this one.',
  migration_failed: 'The database rejected a migration: `step` is its name, `cause` is the error.',
  migration_changed: 'The text of a migration changed after it was applied.',
  migration_missing: 'An applied migration is not in the code, or a new one sorts before an applied one.',
  migration_dirty: 'A migration stopped part way and could not be rolled back: see `repairMigration`.',
  migration_locked: 'Another process is migrating this tenant.',
  provider_rejected: 'The service or the database rejected the operation. A retry does not help.',
  provider_unavailable: 'The service or the database does not answer, or is busy.',
  credentials_rejected: 'The service rejected the token, user or password.',
  quota_exceeded: 'The account or the server has reached its limit of databases.',
  rate_limited: 'The service asked to wait for longer than the call may take.',
  timeout: 'No response within the time limit.',
  pool_exhausted: 'No connection of the server or the tenant became free within the time limit.',
  statement_refused: "The statement would reach beyond the tenant's database.",
  not_supported:
    'This configuration does not support the operation: for example no `onProvision`, or no catalog.',
  config_invalid: 'An option is invalid. Thrown at construction; the message names the option.',
  closed: 'The factory, the pool or the lease is already closed.',
  internal: 'An error without a code in a hook, `authorize`, `createAdapters`, or Tenantry.',
}

import type { TenancyErrorCode } from '@tenantry/multi-tenancy'

/** The codes that an operation may end in after it lost a race; any other error is a defect. */
export const CONCURRENCY_ERRORS: ReadonlySet<TenancyErrorCode> = new Set([
  'conflict',
  'tenant_not_found',
  'tenant_not_ready',
  'tenant_suspended',
  'stale_tenant',
  'provider_unavailable',
  'provider_rejected',
  'credentials_rejected',
  'migration_failed',
  'migration_locked',
])

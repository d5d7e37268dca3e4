import type { TenancyErrorCode } from '@tenantry/multi-tenancy'

/** What one of two calls that cross may be told; anything else is a defect. */
export const CROSSED: ReadonlySet<TenancyErrorCode> = new Set([
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

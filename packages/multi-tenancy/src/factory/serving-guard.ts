import { notFound, TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'

/** Which tenants this process must not serve, although the provider and the catalog would allow it. */
export interface ServingGuard {
  /** Refuses to serve the tenant until `endDeletion`. @throws `conflict` when a deletion is under way */
  beginDeletion(tenantId: TenantId): void
  endDeletion(tenantId: TenantId): void
  /** @throws `conflict` while this process deletes the tenant */
  assertNotDeleting(tenantId: TenantId): void
  liftQuarantine(tenantId: TenantId): void
  /** @throws `wrong_tenant` for a tenant in quarantine, `tenant_not_found` for one being deleted */
  assertServable(tenantId: TenantId, incarnation: { readonly generation: number }): void
  quarantine(tenantId: TenantId, generation: number): void
}

export function createServingGuard(): ServingGuard {
  /** The newest incarnation of each tenant whose database carried another tenant's stamp. */
  const quarantined = new Map<TenantId, number>()
  const deleting = new Set<TenantId>()

  function assertNotDeleting(tenantId: TenantId): void {
    if (deleting.has(tenantId))
      throw new TenancyError('conflict', 'The tenant is being deleted', { tenantId })
  }

  return {
    assertServable(tenantId, { generation }) {
      if ((quarantined.get(tenantId) ?? 0) >= generation) {
        const message =
          "The tenant's database carried another tenant's identity stamp; fix its locator, then call factory.release(id)"
        throw new TenancyError('wrong_tenant', message, { tenantId })
      }
      if (deleting.has(tenantId)) throw notFound(tenantId)
    },
    quarantine(tenantId, generation) {
      quarantined.set(tenantId, Math.max(quarantined.get(tenantId) ?? 0, generation))
    },
    liftQuarantine(tenantId) {
      quarantined.delete(tenantId)
    },
    assertNotDeleting,
    beginDeletion(tenantId) {
      assertNotDeleting(tenantId)
      deleting.add(tenantId)
    },
    endDeletion(tenantId) {
      deleting.delete(tenantId)
    },
  }
}

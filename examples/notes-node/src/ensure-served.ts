import type { TenantFactory } from '@tenantry/multi-tenancy'

/** Brings a tenant of the demo into a served state, from any state that an earlier run left. */
export async function ensureServed({ provision, lifecycle }: TenantFactory, id: string): Promise<void> {
  const { tenants = [] } = (await lifecycle?.list({ idPrefix: id })) ?? {}
  const state = tenants.find((tenant) => tenant.id === id)?.state
  if (state === 'deleted') await lifecycle?.undelete(id)
  if (state === 'suspended' || state === 'deleted') await lifecycle?.resume(id)
  // Confirms one that is there.
  else await provision(id)
}

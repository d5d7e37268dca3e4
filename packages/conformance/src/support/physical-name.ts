import { defineFactory, type TenantProvider } from '@tenantry/multi-tenancy/provider'

/**
 * Returns the physical name that a factory gives a tenant's database. A factory over a stand-in with the provider's
 * naming asks for the database, so the call does not reach the service.
 */
export async function findPhysicalName(
  provider: TenantProvider<any>,
  databasePrefix: string,
  tenantId: string,
): Promise<string> {
  let requestedName: string | undefined
  const standIn: TenantProvider<any> = {
    ...provider,
    async find(name) {
      requestedName = name
      return undefined
    },
    async close() {},
  }
  const factory = defineFactory(standIn, { databasePrefix })
  await factory.getAdapters(tenantId).catch(() => {})
  if (requestedName === undefined)
    throw new Error(`The factory asked for no database of tenant "${tenantId}"`)
  return requestedName
}

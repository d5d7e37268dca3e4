import { defineFactory, type TenantProvider } from '@tenantry/multi-tenancy'

/**
 * The name a factory gives a tenant's database: overheard from a factory over a provider that has only this
 * one's naming, so no service is asked.
 */
export async function physicalName(
  provider: TenantProvider<any>,
  databasePrefix: string,
  tenantId: string,
): Promise<string> {
  let overheard: string | undefined
  const listener: TenantProvider<any> = {
    ...provider,
    async find(name) {
      overheard = name
      return undefined
    },
    async close() {},
  }
  const factory = defineFactory(listener, { databasePrefix })
  await factory.getAdapters(tenantId).catch(() => {})
  if (overheard === undefined) throw new Error(`The factory looked for no database of ${tenantId}`)
  return overheard
}

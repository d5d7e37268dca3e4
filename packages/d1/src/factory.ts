import { defineFactory, type FactoryOptions, type TenantFactory } from '@tenantry/multi-tenancy/provider'
import type { Kysely } from 'kysely'
import type { D1Database } from './client/d1-database.ts'
import type { D1ProviderOptions } from './options.ts'
import { createD1Provider } from './provider.ts'

/** The provider's options and those of every provider's factory. */
export type D1FactoryOptions<Adapters> = Omit<D1ProviderOptions, 'environment'> &
  FactoryOptions<D1Database, Adapters>

const OPTIONS: Readonly<Record<Exclude<keyof D1ProviderOptions, 'environment'>, true>> = {
  accountId: true,
  apiToken: true,
  access: true,
  placement: true,
  readReplication: true,
  onRestorePoint: true,
  rateLimit: true,
  requestTimeout: true,
  pageSize: true,
  baseUrl: true,
  fetch: true,
}

/**
 * One Cloudflare D1 database for each tenant: for Workers, Node and every runtime with `fetch`.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const factory = createD1Factory({ accountId, apiToken, access: [{ kind: 'binding', env }, { kind: 'rest' }] })
 * await factory.provision('acme')
 * const { db } = await factory.getAdapters('acme')
 */
export function createD1Factory<Adapters = { db: Kysely<any> }>(
  options: D1FactoryOptions<Adapters>,
): TenantFactory<Adapters> {
  return defineFactory<D1Database, Adapters>(() => createD1Provider(options), options, OPTIONS)
}

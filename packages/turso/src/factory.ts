import type { Client } from '@libsql/client/web'
import { defineFactory, type FactoryOptions, type TenantFactory } from '@tenantry/multi-tenancy/provider'
import type { Kysely } from 'kysely'
import type { TursoProviderOptions } from './options.ts'
import { createTursoProvider } from './provider.ts'

/** The provider's options and those of every factory. */
export type TursoFactoryOptions<Adapters> = Omit<TursoProviderOptions, 'environment'> &
  FactoryOptions<Client, Adapters>

const OPTIONS: Readonly<Record<Exclude<keyof TursoProviderOptions, 'environment'>, true>> = {
  organizationName: true,
  apiToken: true,
  group: true,
  groups: true,
  tokenLifetime: true,
  allowedHosts: true,
  baseUrl: true,
  requestTimeout: true,
  intMode: true,
  fetch: true,
}

/**
 * A Turso database for each tenant: for Workers, Node and every runtime with `fetch`.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const factory = createTursoFactory({ organizationName: 'acme-inc', apiToken: env.TURSO_API_TOKEN, migrations })
 * await factory.provision('acme')
 * const { db } = await factory.getAdapters('acme')
 */
export function createTursoFactory<Adapters = { db: Kysely<any> }>(
  options: TursoFactoryOptions<Adapters>,
): TenantFactory<Adapters> {
  return defineFactory<Client, Adapters>(() => createTursoProvider(options), options, OPTIONS)
}

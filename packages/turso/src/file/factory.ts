import type { Client } from '@libsql/client/sqlite3'
import { defineFactory, type FactoryOptions, type TenantFactory } from '@tenantry/multi-tenancy/provider'
import type { Kysely } from 'kysely'
import type { LibsqlFileProviderOptions } from './options.ts'
import { createLibsqlFileProvider } from './provider.ts'

/** The provider's options and those of every factory. */
export type LibsqlFactoryOptions<Adapters> = Omit<LibsqlFileProviderOptions, 'environment'> &
  FactoryOptions<Client, Adapters>

const OPTIONS: Readonly<Record<Exclude<keyof LibsqlFileProviderOptions, 'environment'>, true>> = {
  root: true,
  maxConnections: true,
  maxConnectionsPerTenant: true,
  maxWaiting: true,
  queueTimeout: true,
  busyTimeout: true,
  transactionIdleTimeout: true,
  drainTimeout: true,
  intMode: true,
}

/**
 * A database file for each tenant under one directory: for a single server, development and tests. Node only.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const factory = createLibsqlFactory({ root: './data/tenants', migrations })
 * await factory.provision('acme')
 * const { db } = await factory.getAdapters('acme')
 */
export function createLibsqlFactory<Adapters = { db: Kysely<any> }>(
  options: LibsqlFactoryOptions<Adapters>,
): TenantFactory<Adapters> {
  return defineFactory<Client, Adapters>(() => createLibsqlFileProvider(options), options, OPTIONS)
}

import type { Client } from '@libsql/client/sqlite3'
import { defineFactory, type FactoryOptions, type TenantFactory } from '@tenantry/multi-tenancy/provider'
import type { Kysely } from 'kysely'
import { createLibsqlFileProvider, type LibsqlFileProviderOptions } from './provider.ts'

/** Where the files are, and what every provider's factory takes. */
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
}

/**
 * A database file per tenant under one directory: for a single server, for development, for tests. Node only.
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

import {
  CONNECTION_POOL_OPTIONS,
  defineFactory,
  type FactoryOptions,
  type TenantFactory,
} from '@tenantry/multi-tenancy/provider'
import type { Kysely } from 'kysely'
import type { Pool } from 'mysql2/promise'
import type { MysqlProviderOptions } from './options.ts'
import { createMysqlProvider } from './provider.ts'

/** Which server, and what every provider's factory takes. */
export type MysqlFactoryOptions<Adapters> = MysqlProviderOptions & FactoryOptions<Pool, Adapters>

const OPTIONS: Readonly<Record<Exclude<keyof MysqlProviderOptions, 'environment'>, true>> = {
  connection: true,
  isolation: true,
  secret: true,
  servers: true,
  placement: true,
  userHost: true,
  registry: true,
  cleaning: true,
  ...CONNECTION_POOL_OPTIONS,
}

/**
 * A database and a user per tenant on MySQL, MariaDB, or what speaks their protocol. Node only.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const factory = createMysqlFactory({
 *   connection: process.env.MYSQL_URL, secret: process.env.USER_SECRET, migrations,
 * })
 * await factory.provision('acme')
 * const { db } = await factory.getAdapters('acme')
 */
export function createMysqlFactory<Adapters = { db: Kysely<any> }>(
  options: MysqlFactoryOptions<Adapters>,
): TenantFactory<Adapters> {
  return defineFactory<Pool, Adapters>((host) => createMysqlProvider(options, host), options, OPTIONS)
}

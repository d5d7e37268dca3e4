import {
  CONNECTION_POOL_OPTIONS,
  defineFactory,
  type FactoryOptions,
  type TenantFactory,
} from '@tenantry/multi-tenancy/provider'
import type { Kysely } from 'kysely'
import type { Pool } from 'pg'
import type { PostgresSchemaProviderOptions } from './options.ts'
import { createPostgresSchemaProvider } from './provider.ts'

/** Which database, and what every provider's factory takes. */
export type PostgresSchemaFactoryOptions<Adapters> = Omit<PostgresSchemaProviderOptions, 'environment'> &
  FactoryOptions<Pool, Adapters>

const OPTIONS: Readonly<Record<Exclude<keyof PostgresSchemaProviderOptions, 'environment'>, true>> = {
  connection: true,
  serve: true,
  isolation: true,
  pooler: true,
  secret: true,
  servers: true,
  placement: true,
  extensionsSchema: true,
  distribute: true,
  ...CONNECTION_POOL_OPTIONS,
}

/**
 * A PostgreSQL schema per tenant, on Node, and on Workers through Hyperdrive.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const factory = createPostgresSchemaFactory({
 *   connection: process.env.DATABASE_URL, secret: process.env.ROLE_SECRET, migrations,
 * })
 * await factory.provision('acme')
 * const { db } = await factory.getAdapters('acme')
 */
export function createPostgresSchemaFactory<Adapters = { db: Kysely<any> }>(
  options: PostgresSchemaFactoryOptions<Adapters>,
): TenantFactory<Adapters> {
  return defineFactory<Pool, Adapters>(
    (host) => createPostgresSchemaProvider(options, host),
    options,
    OPTIONS,
  )
}

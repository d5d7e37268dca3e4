import type { TenantProvider } from '@tenantry/multi-tenancy/provider'
import { neverAborted } from '@tenantry/test-support'
import type { Pool } from 'pg'
import { createPostgresSchemaProvider, type PostgresSchemaProviderOptions } from '../src/index.ts'
import type { TestDatabase } from './database.ts'

/** The check of a connection to a schema without a stamp. */
export const verify = async (): Promise<void> => {}

export type Provider = TenantProvider<Pool>

export function createProvider(
  { url, secret }: Pick<TestDatabase, 'url' | 'secret'>,
  options: Partial<PostgresSchemaProviderOptions> = {},
): Provider {
  return createPostgresSchemaProvider({ connection: url, secret, ...options })
}

/** Creates the schema if it does not exist, with one table of notes, and returns a client of it. */
export async function open(provider: Provider, name: string): Promise<Pool> {
  const { locator, created } = await provider.create(name, neverAborted)
  const client = await provider.connect({ locator, purpose: 'manage', verify }, neverAborted)
  if (created) {
    await provider.batch(client, [
      { sql: 'CREATE TABLE notes (id serial PRIMARY KEY, body text NOT NULL)' },
      { sql: 'INSERT INTO notes (body) VALUES ($1)', params: [`of ${name}`] },
    ])
  }
  return client
}

import { type CallOptions, TenancyError, type TenantProvider } from '@tenantry/multi-tenancy/provider'
import type { Pool } from 'pg'
import { createPostgresSchemaProvider, type PostgresSchemaProviderOptions } from '../src/index.ts'
import type { TestDatabase } from './database.ts'

/** A call nobody gives up. */
export const call: CallOptions = { signal: new AbortController().signal }

/** What connects without a stamp. */
export const verify = async (): Promise<void> => {}

export type Provider = TenantProvider<Pool>

export function providerOf(
  { url, secret }: Pick<TestDatabase, 'url' | 'secret'>,
  options: Partial<PostgresSchemaProviderOptions> = {},
): Provider {
  return createPostgresSchemaProvider({ connection: url, secret, ...options })
}

/** A schema that is there, with one table of notes, and a client of it. */
export async function open(provider: Provider, name: string): Promise<Pool> {
  const { locator, created } = await provider.create(name, call)
  const client = await provider.connect({ locator, purpose: 'manage', verify }, call)
  if (created) {
    await provider.batch(client, [
      { sql: 'CREATE TABLE notes (id serial PRIMARY KEY, body text NOT NULL)' },
      { sql: 'INSERT INTO notes (body) VALUES ($1)', params: [`of ${name}`] },
    ])
  }
  return client
}

/** What `work` throws, which must be one of our errors. */
export async function failure(work: Promise<unknown>): Promise<TenancyError> {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => error,
  )
  if (outcome instanceof TenancyError) return outcome
  throw new Error('It should have thrown a TenancyError', outcome instanceof Error ? { cause: outcome } : {})
}

import type { Client } from '@libsql/client/web'
import type { FactoryOptions, TenantFactory } from '@tenantry/multi-tenancy/provider'
import { createTempFolder } from '@tenantry/test-support'
import { Kysely } from 'kysely'
import { onTestFinished } from 'vitest'
import { createLibsqlFactory, libsqlKysely } from '../src/file/index.ts'
import { createTursoFactory, type TursoProviderOptions } from '../src/index.ts'
import type { Account } from './support.ts'

export interface Adapters {
  readonly client: Client
  readonly db: Kysely<any>
}

/** The providers of this package. */
export const PROVIDERS = ['files', 'Turso'] as const

type Options = Pick<TursoProviderOptions, 'intMode'> & Pick<FactoryOptions<Client, Adapters>, 'migrations'>

/** A factory whose adapters are the client and Kysely over it. It is closed when the test ends. */
export function createFactory(
  provider: (typeof PROVIDERS)[number],
  { turso, fetch, clock: environment }: Account,
  options: Options = {},
): TenantFactory<Adapters> {
  const { organization: organizationName, apiToken } = turso
  const createAdapters = (client: Client): Adapters => ({
    client,
    db: new Kysely({ dialect: libsqlKysely(client) }),
  })
  const factory =
    provider === 'files'
      ? createLibsqlFactory<Adapters>({ root: createTempFolder('files'), createAdapters, ...options })
      : createTursoFactory<Adapters>({
          organizationName,
          apiToken,
          fetch,
          environment,
          createAdapters,
          ...options,
        })
  onTestFinished(() => factory.close())
  return factory
}

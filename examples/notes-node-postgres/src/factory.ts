import type { TenantFactory } from '@tenantry/multi-tenancy'
import { createPostgresSchemaFactory, type PostgresSchemaFactoryOptions } from '@tenantry/postgres-schema'
import { migrations, type NotesAdapters, seedDemo } from '@tenantry-examples/notes'
import { startServer } from './server.ts'

interface Databases {
  readonly factory: TenantFactory<NotesAdapters>
  /** Where the schemas are, for people. */
  readonly location: string
  close(): Promise<void>
}

type Choice = Pick<PostgresSchemaFactoryOptions<NotesAdapters>, 'isolation' | 'pooler'>

/**
 * The only module that names a provider. With `DATABASE_URL` (and `ROLE_SECRET`, optionally `ISOLATION` and `POOLER`)
 * the tenants live in that database, otherwise in a server that the demo starts and stops.
 */
export async function openDatabases(
  env: NodeJS.ProcessEnv,
  createTemporaryFolder: (prefix: string) => string,
): Promise<Databases> {
  const { DATABASE_URL: url, ROLE_SECRET: secret, ISOLATION: isolation, POOLER: pooler } = env
  const choice = { ...(isolation && { isolation }), ...(pooler && { pooler }) } as Choice
  const app = { migrations, seed: seedDemo, ...choice }
  if (url) {
    const factory = createPostgresSchemaFactory<NotesAdapters>({
      connection: url,
      ...(secret && { secret }),
      ...app,
    })
    return { factory, location: `the database ${new URL(url).pathname.slice(1)}`, close: factory.close }
  }
  const server = await startServer(createTemporaryFolder('tenantry-notes-postgres-'))
  const ownSecret = crypto.randomUUID()
  const factory = createPostgresSchemaFactory<NotesAdapters>({
    connection: server.url,
    secret: ownSecret,
    ...app,
  })
  return {
    factory,
    location: `a PostgreSQL server in ${server.folder}, which is deleted when the demo stops`,
    async close() {
      await factory.close()
      await server.stop()
    },
  }
}

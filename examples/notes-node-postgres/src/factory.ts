import type { TenantFactory } from '@tenantry/multi-tenancy'
import { createPostgresSchemaFactory, type PostgresSchemaFactoryOptions } from '@tenantry/postgres-schema'
import { migrations, type NotesAdapters, seedDemo } from '@tenantry-examples/notes'
import { startServer } from './server.ts'

interface Databases {
  readonly factory: TenantFactory<NotesAdapters>
  /** Where the schemas are, in words. */
  readonly place: string
  /** Called once the factory is closed. */
  cleanUp(): Promise<void>
}

type Choice = Pick<PostgresSchemaFactoryOptions<NotesAdapters>, 'isolation' | 'pooler'>

/**
 * The only lines that know a provider. With `DATABASE_URL` (and `ROLE_SECRET`, and if you like `ISOLATION` and
 * `POOLER`) tenants live in that database, else in a server that comes with the demo and goes with it.
 */
export async function openDatabases(env: NodeJS.ProcessEnv): Promise<Databases> {
  const { DATABASE_URL: url, ROLE_SECRET: secret, ISOLATION: isolation, POOLER: pooler } = env
  const choice = { ...(isolation && { isolation }), ...(pooler && { pooler }) } as Choice
  const app = { migrations, seed: seedDemo, ...choice }
  if (url) {
    const factory = createPostgresSchemaFactory<NotesAdapters>({
      connection: url,
      ...(secret && { secret }),
      ...app,
    })
    return { factory, place: `the database ${new URL(url).pathname.slice(1)}`, async cleanUp() {} }
  }
  const server = await startServer()
  const own = { connection: server.url, secret: crypto.randomUUID() }
  return {
    factory: createPostgresSchemaFactory<NotesAdapters>({ ...own, ...app }),
    place: `a PostgreSQL server in ${server.folder} (removed at the end)`,
    cleanUp: server.stop,
  }
}

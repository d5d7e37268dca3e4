import type { TenantFactory } from '@tenantry/multi-tenancy'
import { createMysqlFactory } from '@tenantry/mysql'
import { migrations, type NotesAdapters, seedDemo } from '@tenantry-examples/notes'
import { startServer } from './server.ts'

interface Databases {
  readonly factory: TenantFactory<NotesAdapters>
  /** Where the databases are, in words. */
  readonly place: string
  /** Called once the factory is closed. */
  cleanUp(): Promise<void>
}

/**
 * The only lines that know a provider. With `MYSQL_URL` and `USER_SECRET` tenants live on that server, else on a MariaDB
 * that comes with the demo and goes with it. `ISOLATION=shared` is for a server that lets you make no users.
 */
export async function openDatabases(env: NodeJS.ProcessEnv): Promise<Databases> {
  const { MYSQL_URL: url, USER_SECRET: secret, ISOLATION: isolation = 'user' } = env
  const app = { migrations, seed: seedDemo, isolation: isolation as 'user' | 'shared' }
  if (url) {
    const factory = createMysqlFactory<NotesAdapters>({ connection: url, ...(secret && { secret }), ...app })
    return { factory, place: `the server at ${new URL(url).host}`, async cleanUp() {} }
  }
  const server = await startServer()
  return {
    factory: createMysqlFactory<NotesAdapters>({
      connection: server.url,
      secret: crypto.randomUUID(),
      ...app,
    }),
    place: `a MariaDB server in ${server.folder} (removed at the end)`,
    cleanUp: server.stop,
  }
}

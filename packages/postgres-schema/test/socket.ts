import { mkdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import path from 'node:path'
import { createTempFolder } from '@tenantry/test-support'

/** A Unix socket as a proxy offers it to an app: `<directory>/.s.PGSQL.5432`, which leads to a server. */
export interface UnixSocket {
  readonly directory: string
  readonly connections: number
  stop(): Promise<void>
}

export async function startSocket(name: string, target: { host: string; port: number }): Promise<UnixSocket> {
  const root = createTempFolder('socket')
  const directory = path.join(root, name)
  mkdirSync(directory)
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((near) => {
    connections++
    const far = connect(target.port, target.host)
    for (const [one, other] of [[near, far], [far, near]] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
      one.pipe(other)
    }
  }) // biome-ignore format: pairs
  await new Promise<void>((resolve) => server.listen(path.join(directory, '.s.PGSQL.5432'), resolve))
  return {
    directory,
    get connections() {
      return connections
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      rmSync(root, { recursive: true, force: true })
    },
  }
}

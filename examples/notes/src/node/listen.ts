import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import { ExampleError } from './run-example.ts'

export interface ListeningServer {
  readonly port: number
  /** Closes the server and its open connections. */
  close(): Promise<void>
}

/** How many ports are tried after the wanted one. */
const MORE_PORTS = 20

/** Serves the app on this machine only, on the wanted port or the next free one. */
export async function listen(app: Hono, wantedPort: number): Promise<ListeningServer> {
  const server = createAdaptorServer({ fetch: app.fetch })
  const port = await bind(server, wantedPort)
  return {
    port,
    async close() {
      const closed = once(server, 'close')
      server.close()
      if ('closeAllConnections' in server) server.closeAllConnections()
      await closed
    },
  }
}

/** The wanted port, or the next free one: for programs that open it themselves. */
export async function findFreePort(wantedPort: number): Promise<number> {
  const server = createServer()
  const port = await bind(server, wantedPort)
  server.close()
  await once(server, 'close')
  return port
}

async function bind(server: Pick<Server, 'listen' | 'address' | 'on'>, wantedPort: number): Promise<number> {
  const lastPort = Math.min(wantedPort + MORE_PORTS, 65_535)
  for (let candidate = wantedPort; candidate <= lastPort; candidate++) {
    try {
      server.listen(candidate, '127.0.0.1')
      await once(server as Server, 'listening')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EACCES')
        throw new ExampleError(`Port ${candidate} needs permissions: set PORT to one above 1023.`)
      if (code === 'EADDRINUSE') continue
      throw error
    }
    const { port } = server.address() as AddressInfo
    if (wantedPort !== 0 && port !== wantedPort) console.log(`Port ${wantedPort} is taken; using ${port}.`)
    return port
  }
  throw new ExampleError(`Ports ${wantedPort} to ${lastPort} are taken: set PORT to a free one.`)
}

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { text } from 'node:stream/consumers'

export interface HttpServer {
  readonly port: number
  /** `http://127.0.0.1:{port}` */
  readonly url: string
  /** Ends all connections and stops listening. */
  close(): Promise<void>
}

/** A listener of `node:http`; `getRequestListener(app.fetch)` of `@hono/node-server` turns an app into one. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => unknown

/** Starts an HTTP server on a free port of the loopback interface. */
export async function startHttpServer(handler: RequestHandler): Promise<HttpServer> {
  const server = createServer((request, response) => void handler(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/**
 * Sends the bytes of a request as they are, one per character, and reads the response to its end. For requests that
 * no HTTP client sends.
 */
export async function sendRawRequest(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes, 'latin1')
  return text(socket)
}

/** Returns a TCP port of the loopback interface that was free a moment ago, for programs that cannot choose one. */
export async function findFreePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

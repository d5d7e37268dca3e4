import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { FaultEngine, Outcome } from '../fault-engine.ts'
import { type Reply, readBody } from '../http.ts'
import { type Call, type CloudflareRequestRecord, readCall } from './call.ts'
import { failure } from './envelope.ts'
import type { CloudflareFaultTarget } from './faults.ts'
import type { DatabaseRecord } from './records.ts'

/** A finished exchange with the API, for tests that check answers against its description. */
export interface CloudflareExchange {
  readonly record: CloudflareRequestRecord
  readonly status: number
  readonly contentType: string | undefined
  readonly body: Uint8Array
}

/** What the server needs. */
export interface ServerOptions {
  readonly port: number
  readonly handlers: Readonly<Record<'api' | 'dispatch' | 'files', (call: Call) => Promise<Reply>>>
  readonly engine: FaultEngine<Call, CloudflareFaultTarget>
  readonly requests: CloudflareRequestRecord[]
  readonly onExchange: ((exchange: CloudflareExchange) => void) | undefined
  find(idOrName: string): DatabaseRecord | undefined
}

/** A listening server. */
export interface EmulatorServer {
  readonly url: string
  close(): Promise<void>
}

/**
 * Serves everything on one port of 127.0.0.1.
 *
 * @throws Error when the port is taken
 */
export async function startServer(options: ServerOptions): Promise<EmulatorServer> {
  const { port, handlers, engine, requests, onExchange, find } = options

  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = 'GET', url = '/', headers } = incoming
    const call = readCall({ method, url, headers, body: await readBody(incoming) }, find)
    const { record } = call
    requests.push(record)
    const handler = record.plane === 'foreign' ? handlers.api : handlers[record.plane]
    const outcome = await engine.run(call, handler).catch(
      // An unexpected failure of the emulator itself: say so, as a server would.
      (error: unknown): Outcome =>
        failure(500, 1000, `emulator: ${error instanceof Error ? error.message : error}`),
    )
    if (outcome === 'cut') {
      response.socket?.destroy()
      return
    }
    record.status = outcome.status
    response.writeHead(outcome.status, { ...outcome.headers, 'content-length': outcome.body.length })
    response.end(outcome.body)
    if (record.plane !== 'api') return
    const contentType = outcome.headers['content-type']?.toString()
    onExchange?.({ record, status: outcome.status, contentType, body: outcome.body })
  }
  const server = createServer((incoming, response) => {
    // Rejects only when the client disconnects while sending its body, so there is no response to send.
    serve(incoming, response).catch(() => incoming.socket.destroy())
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const bound = address !== null && typeof address === 'object' ? address.port : port
  return {
    url: `http://127.0.0.1:${bound}`,
    close: async () => {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

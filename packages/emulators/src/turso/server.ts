import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Outcome } from '../fault-engine.ts'
import { jsonReply, readBody } from '../http.ts'
import { type Call, type Handler, type RequestRecord, readCall } from './call.ts'
import type { FaultEngine } from './fault-engine.ts'

/** A finished exchange with the Platform API, for tests that check answers against its description. */
export interface Exchange {
  readonly record: RequestRecord
  readonly status: number
  readonly contentType: string | undefined
  readonly body: Uint8Array
}

/** The dependencies of the server. */
export interface ServerOptions {
  readonly organization: string
  readonly port: number
  readonly platform: Handler
  readonly data: Handler
  readonly engine: FaultEngine
  readonly requests: RequestRecord[]
  readonly onExchange: ((exchange: Exchange) => void) | undefined
}

/** A listening server. */
export interface EmulatorServer {
  readonly url: string
  close(): Promise<void>
}

/**
 * Serves both planes on one port of 127.0.0.1.
 *
 * @throws Error when the port is taken
 */
export async function startServer(options: ServerOptions): Promise<EmulatorServer> {
  const { organization, port, engine, requests, onExchange } = options

  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = 'GET', url = '/', headers } = incoming
    const call = readCall(organization, { method, url, headers, body: await readBody(incoming) })
    requests.push(call.record)
    const handler = call.record.plane === 'platform' ? options.platform : options.data
    const outcome = await engine.run(call, handler).catch(
      // An unexpected failure of the emulator itself: say so, as a server would.
      (error: unknown) =>
        jsonReply(500, { error: `emulator: ${error instanceof Error ? error.message : error}` }),
    )
    answer(call, outcome, response)
    if (outcome === 'cut' || call.record.plane !== 'platform') return
    const contentType = outcome.headers['content-type']?.toString()
    onExchange?.({ record: call.record, status: outcome.status, contentType, body: outcome.body })
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

function answer({ record }: Call, outcome: Outcome, response: ServerResponse): void {
  if (outcome === 'cut') {
    response.socket?.destroy()
    return
  }
  record.status = outcome.status
  response.writeHead(outcome.status, { ...outcome.headers, 'content-length': outcome.body.length })
  response.end(outcome.body)
}

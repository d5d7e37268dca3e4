import { type Agent, type IncomingMessage, request } from 'node:http'

/** A complete HTTP answer. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: Uint8Array
}

/** A request to a port of this machine. */
export interface LocalRequest {
  readonly port: number
  readonly method: string
  readonly path: string
  readonly headers?: Record<string, string | string[]>
  readonly body?: Uint8Array | string | undefined
  readonly agent?: Agent | undefined
}

/** Reads a whole message. */
export async function readBody(message: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of message) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}

/**
 * Sends one request to 127.0.0.1. It is `node:http` and not `fetch`, because `fetch` ignores a `host` header and
 * sqld picks the namespace by it.
 */
export function sendLocal(options: LocalRequest): Promise<Reply> {
  const { port, method, path, headers, body, agent } = options
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port, method, path, ...(headers && { headers }), ...(agent && { agent }) },
      (incoming) => {
        readBody(incoming).then((received) => {
          const {
            connection,
            'transfer-encoding': encoding,
            'content-length': length,
            ...endToEnd
          } = incoming.headers
          resolve({
            status: incoming.statusCode ?? 502,
            headers: endToEnd as Reply['headers'],
            body: received,
          })
        }, reject)
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** A JSON answer; content-type exactly `application/json`, which libSQL clients require. */
export function jsonReply(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.from(JSON.stringify(body)),
  }
}

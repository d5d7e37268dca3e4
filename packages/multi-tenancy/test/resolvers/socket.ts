import { connect } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'

export interface RawServer {
  /** Sends bytes as they are (one per character) and answers with all that came back. */
  send(bytes: string): Promise<{ status: number; body: string }>
  close(): Promise<void>
}

/** `app` on @hono/node-server at a free port, spoken to without an HTTP client. */
export async function listen(app: Hono): Promise<RawServer> {
  const server = createAdaptorServer({ fetch: app.fetch })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    send: (bytes) =>
      new Promise((resolve, reject) => {
        let answer = ''
        const socket = connect(address.port, '127.0.0.1', () => socket.write(bytes, 'latin1'))
        socket.setEncoding('utf8')
        socket.on('data', (chunk) => {
          answer += chunk
        })
        socket.on('error', reject)
        socket.on('close', () => {
          const [head = '', ...body] = answer.split('\r\n\r\n')
          resolve({ status: Number(head.split(' ')[1]), body: extractBody(head, body.join('\r\n\r\n')) })
        })
      }),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

// Of a chunked body these tests need only that its first chunk has it all.
function extractBody(head: string, body: string): string {
  return /^transfer-encoding: chunked/im.test(head) ? (body.split('\r\n')[1] ?? '') : body
}

/** `text` as the bytes of its UTF-8, one per character: what a client that ignores the rules would send. */
export function utf8(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** A GET with these lines as its header, and the connection closed after it. */
export function get(target: string, ...headers: string[]): string {
  return [`GET ${target} HTTP/1.1`, ...headers, 'Connection: close', '', ''].join('\r\n')
}

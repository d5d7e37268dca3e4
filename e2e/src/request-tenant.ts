import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'

export interface TenantRequest {
  /** A port of 127.0.0.1. */
  readonly port: number | string
  /** The `Host` header: `fetch` does not let it be chosen, and not every system resolves `acme.localhost`. */
  readonly host: string
  readonly path: string
  readonly method?: string
}

/** Sends a request with a tenant's `Host` to a server on this machine. */
export async function requestTenant({
  port,
  host,
  path,
  method = 'GET',
}: TenantRequest): Promise<{ status: number; body: string }> {
  const outgoing = request({ hostname: '127.0.0.1', port, path, method, headers: { host } }).end()
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  return { status: answer.statusCode ?? 0, body: await text(answer) }
}

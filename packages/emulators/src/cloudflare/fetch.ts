import { cloudflareEmulatorUrl, type Fetch } from '../client.ts'
import type { CloudflareRequestRecord } from './call.ts'

/**
 * A `fetch` that reaches the emulator, by its own address and as `api.cloudflare.com`, and nothing else.
 *
 * @throws Error (the promise rejects) for any other host, which is recorded as `foreign`
 */
export function createEmulatorFetch(url: string, requests: CloudflareRequestRecord[]): Fetch {
  return async (input, init) => {
    const address = new URL(input instanceof Request ? input.url : input)
    const target = address.origin === url ? address.href : cloudflareEmulatorUrl(url, address)
    if (target === undefined) {
      const method = init?.method ?? (input instanceof Request ? input.method : 'GET')
      const about = {
        operation: undefined,
        database: undefined,
        script: undefined,
        status: undefined,
        faults: [],
      }
      requests.push({ method, plane: 'foreign', path: `${address.host}${address.pathname}`, ...about })
      throw new Error(`The Cloudflare emulator does not let requests out: ${method} ${address.origin}`)
    }
    return await globalThis.fetch(input instanceof Request ? new Request(target, input) : target, init)
  }
}

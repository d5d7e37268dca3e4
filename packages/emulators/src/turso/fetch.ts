import { type Fetch, tursoEmulatorUrl } from '../client.ts'
import type { RequestRecord } from './call.ts'
import { isOrganizationHostname } from './names.ts'

/**
 * A `fetch` that reaches the emulator and nothing else: the platform (also as `api.turso.tech`) and the hosts
 * that databases of the organization have.
 *
 * @throws Error (the promise rejects) for any other host, which is recorded as `foreign`; a hostname guessed by the
 * old rule `{name}-{organization}.turso.io` is one
 */
export function createEmulatorFetch(url: string, organization: string, requests: RequestRecord[]): Fetch {
  const origin = new URL(url).origin
  return async (input, init) => {
    const address = new URL(input instanceof Request ? input.url : input)
    const { hostname, pathname } = address
    const ours = hostname === 'api.turso.tech' || isOrganizationHostname(organization, hostname)
    const target =
      address.origin === origin ? address.href : ours ? tursoEmulatorUrl(url, address) : undefined
    if (target === undefined) {
      const method = init?.method ?? (input instanceof Request ? input.method : 'GET')
      const about = { operation: undefined, database: undefined, status: undefined, faults: [] }
      requests.push({ method, plane: 'foreign', host: address.host, path: pathname, ...about })
      throw new Error(`The Turso emulator does not let requests out: ${method} ${address.origin}${pathname}`)
    }
    return await globalThis.fetch(input instanceof Request ? new Request(target, input) : target, init)
  }
}

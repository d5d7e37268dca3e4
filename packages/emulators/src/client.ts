/** A `fetch` as every runtime has it: what database clients and providers take as their `fetch` option. */
export type Fetch = (input: Request | URL | string, init?: RequestInit) => Promise<Response>

const platformHost = 'api.turso.tech'
const databaseSuffix = '.turso.io'

/**
 * Where the emulator serves what the real service serves at `target`.
 *
 * `https://api.turso.tech/…` becomes `{emulatorUrl}/…`, and `https://{hostname}/…` for every host under
 * `turso.io` becomes `{emulatorUrl}/_db/{hostname}/…`. Any other address gives `undefined`.
 */
export function tursoEmulatorUrl(emulatorUrl: string, target: string | URL): string | undefined {
  const { hostname, pathname, search } = new URL(target)
  const base = emulatorUrl.replace(/\/+$/, '')
  if (hostname === platformHost) return `${base}${pathname}${search}`
  if (hostname.endsWith(databaseSuffix)) return `${base}/_db/${hostname}${pathname}${search}`
  return undefined
}

/**
 * A `fetch` that sends requests for Turso to the emulator and every other request to its own address. It uses
 * nothing but the web platform, so it runs in Workers.
 *
 * @param emulatorUrl The emulator's address, such as `http://127.0.0.1:8910`.
 * @param baseFetch The `fetch` that sends the requests. @default globalThis.fetch
 * @example
 * ```ts
 * import { createClient } from '@libsql/client/web'
 * import { tursoEmulatorFetch } from '@tenantry/emulators/client'
 *
 * const client = createClient({ url, authToken, fetch: tursoEmulatorFetch('http://127.0.0.1:8910') })
 * ```
 */
export function tursoEmulatorFetch(
  emulatorUrl: string,
  baseFetch: Fetch = (input, init) => globalThis.fetch(input, init),
): Fetch {
  return async (input, init) => {
    const rewritten = tursoEmulatorUrl(emulatorUrl, input instanceof Request ? input.url : input)
    if (rewritten === undefined) return await baseFetch(input, init)
    // A Request carries its method, headers, body and signal; only its address changes.
    return await baseFetch(input instanceof Request ? new Request(rewritten, input) : rewritten, init)
  }
}

/**
 * Where the emulator serves what Cloudflare serves at `target`: `https://api.cloudflare.com/client/v4/…` becomes
 * `{emulatorUrl}/client/v4/…`. Any other address gives `undefined`.
 */
export function cloudflareEmulatorUrl(emulatorUrl: string, target: string | URL): string | undefined {
  const { hostname, pathname, search } = new URL(target)
  if (hostname !== 'api.cloudflare.com') return undefined
  return `${emulatorUrl.replace(/\/+$/, '')}${pathname}${search}`
}

/** The part of a dispatch namespace's binding that an app uses. */
export interface DispatcherLike {
  /** A script by its name. A missing script fails when it is called. */
  get(name: string, args?: object, options?: object): { fetch: Fetch }
}

/**
 * A stand-in for the binding of a dispatch namespace (`env.DISPATCHER`), which `wrangler dev` has no local form of:
 * the script runs in the emulator. Arguments, limits and outbound Workers are not passed on. It uses nothing but the
 * web platform, so it runs in Workers.
 *
 * @param emulatorUrl The emulator's address, such as `http://127.0.0.1:8911`.
 * @param baseFetch The `fetch` that sends the requests. @default globalThis.fetch
 * @returns Its `fetch` rejects with an Error that begins `Worker not found` when the script is not there, and with
 * the script's own message when the script throws, as the binding's does
 */
export function cloudflareEmulatorDispatcher(
  emulatorUrl: string,
  namespace: string,
  baseFetch: Fetch = (input, init) => globalThis.fetch(input, init),
): DispatcherLike {
  const base = `${emulatorUrl.replace(/\/+$/, '')}/_dispatch/${encodeURIComponent(namespace)}`
  return {
    get: (name) => ({
      fetch: async (input, init) => {
        const request = new Request(input, { ...init, redirect: 'manual' })
        const target = new Request(`${base}/${encodeURIComponent(name)}`, request)
        target.headers.set('x-emulator-url', request.url)
        const response = await baseFetch(target)
        const problem = response.headers.get('x-emulator-error')
        if (problem !== null) throw new Error(await response.text())
        return response
      },
    }),
  }
}

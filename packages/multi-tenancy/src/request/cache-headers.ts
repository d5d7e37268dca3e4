import type { Context } from 'hono'

/**
 * Keeps a tenant's answer out of shared caches: `Cache-Control: private, no-store` where the handler set
 * none, and `Host` in `Vary`. Hono's own cache middleware ignored `private` once (CVE-2026-24472), hence both.
 */
export function keepPrivate(c: Context): void {
  // The answer of a WebSocket upgrade is not to be touched, and never cached.
  if (c.res.status === 101) return
  try {
    addHeaders(c.res.headers)
  } catch {
    // The headers of a fetched or redirecting response are immutable.
    c.res = new Response(c.res.body, c.res)
    addHeaders(c.res.headers)
  }
}

function addHeaders(headers: Headers): void {
  if (!headers.has('cache-control')) headers.set('cache-control', 'private, no-store')
  const vary = headers.get('vary')
  if (vary === null || !/(^|,)\s*(\*|host)\s*(,|$)/i.test(vary)) headers.append('vary', 'Host')
}

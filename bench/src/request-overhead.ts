import { serve } from '@hono/node-server'
import autocannon from 'autocannon'
import type { Hono } from 'hono'
import { handWritten, TENANTS, tenantry } from './apps.ts'
import { byTurns, report } from './ratio.ts'

const REQUESTS = 40_000
const HTTP_SECONDS = 3

/** Requests per second through `app.fetch`. */
function inProcess(app: Hono<any>): () => Promise<number> {
  const requests = TENANTS.map((id) => `http://${id}.example.com/api/users`)
  return async () => {
    const start = performance.now()
    for (let index = 0; index < REQUESTS; index++) {
      const url = requests[index % requests.length] as string
      const response = await app.fetch(new Request(url, { headers: { host: new URL(url).host } }), {})
      if (response.status !== 200) throw new Error(`${url} answered ${response.status}`)
    }
    return REQUESTS / ((performance.now() - start) / 1_000)
  }
}

/** Requests per second over HTTP on loopback. */
function overHttp(port: number): () => Promise<number> {
  return async () => {
    const result = await autocannon({
      url: `http://127.0.0.1:${port}`,
      connections: 20,
      duration: HTTP_SECONDS,
      requests: TENANTS.map((id) => ({ path: '/api/users', headers: { host: `${id}.example.com` } })),
    })
    if (result.non2xx > 0) throw new Error(`${result.non2xx} answers were not 2xx`)
    return result.requests.average
  }
}

async function listening(app: Hono<any>): Promise<{ port: number; close: () => Promise<void> }> {
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
      resolve({ port, close: () => new Promise((done) => server.close(() => done())) }),
    )
  })
}

/** Requests per second with a warm tenant, against the hand-written Map cache in the same app. */
export async function requestOverhead(): Promise<void> {
  const apps = { hand: await handWritten(), ours: await tenantry(true), bare: await tenantry(false) }
  const process_ = { hand: inProcess(apps.hand), ours: inProcess(apps.ours), bare: inProcess(apps.bare) }
  await byTurns(process_, 2)
  const fast = await byTurns(process_, 9)
  const per = (name: string, from: Record<string, number>): string => `${Math.round(from[name] ?? 0)} req/s`
  const detail = (name: string, from: Record<string, number>): string =>
    `${per(name, from)} against ${per('hand', from)}`
  report(
    'request, app.fetch: hand-written Map cache',
    (fast.bare ?? 0) / (fast.hand ?? 1),
    '≥ 0.90',
    `${detail('bare', fast)} (cacheHeaders: false)`,
  )
  report(
    'request, app.fetch: the same, with private cache headers',
    (fast.ours ?? 0) / (fast.hand ?? 1),
    '',
    detail('ours', fast),
  )

  const servers = { hand: await listening(apps.hand), ours: await listening(apps.ours) }
  const http = { hand: overHttp(servers.hand.port), ours: overHttp(servers.ours.port) }
  await byTurns(http, 1)
  const slow = await byTurns(http, 5)
  report(
    'request, HTTP: hand-written Map cache',
    (slow.ours ?? 0) / (slow.hand ?? 1),
    '≥ 0.98',
    detail('ours', slow),
  )
  await Promise.all(Object.values(servers).map((server) => server.close()))
}

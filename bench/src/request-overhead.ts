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

/** The rivals by name, and which is divided by which. */
const LINES = [
  { name: 'hand-written Map cache', ours: 'bare', rival: 'hand', aim: true },
  { name: 'the same, both with private cache headers', ours: 'ours', rival: 'handWithHeaders', aim: true },
  { name: 'with cache headers against without', ours: 'ours', rival: 'hand', aim: false },
] as const

/** Requests per second with a warm tenant, against the hand-written Map cache in the same app. */
export async function requestOverhead(): Promise<void> {
  const apps = {
    hand: await handWritten(false),
    bare: await tenantry(false),
    handWithHeaders: await handWritten(true),
    ours: await tenantry(true),
  }
  const inTurn = Object.fromEntries(Object.entries(apps).map(([name, app]) => [name, inProcess(app)]))
  await byTurns(inTurn, 2)
  show('app.fetch', '≥ 0.90', await byTurns(inTurn, 9))

  const servers = await Promise.all(Object.values(apps).map(listening))
  const http = Object.fromEntries(
    Object.keys(apps).map((name, at) => [name, overHttp(servers[at]?.port ?? 0)]),
  )
  await byTurns(http, 1)
  show('HTTP', '≥ 0.98', await byTurns(http, 5))
  await Promise.all(servers.map((server) => server.close()))
}

function show(way: string, aim: string, perSecond: Record<string, number>): void {
  for (const line of LINES) {
    const [ours = 0, rival = 1] = [perSecond[line.ours], perSecond[line.rival]]
    const detail = `${Math.round(ours)} against ${Math.round(rival)} requests/s`
    report(`request, ${way}: ${line.name}`, ours / rival, line.aim ? aim : '', detail)
  }
}

import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { DATA_WORKER } from '../../src/access/data-worker.ts'
import type { D1Database } from '../../src/index.ts'

/** D1 databases in workerd, made ready beforehand because a new one would restart it. */
export interface Storage {
  /** The next unused database. */
  take(): number
  /** Runs statements as one batch; what it answers is JSON. */
  run(at: number, statements: readonly Statement[], raw: boolean): Promise<any>
  /** The database through workerd's own binding. */
  binding(at: number): Promise<D1Database>
  /** A request to the tenant's Worker, with this environment. */
  tenantWorker(at: number, env: Record<string, string>, request: RequestInit): Promise<Response>
  /** A request to the Worker under test. */
  fetch(url: string, init?: RequestInit): Promise<Response>
  /** Where the Worker under test listens. */
  readonly port: () => Promise<string>
  stop(): Promise<void>
}

export interface Statement {
  readonly sql: string
  readonly params?: readonly unknown[]
}

/** A Worker in the same workerd, with some of the databases bound to it. */
export interface WorkerUnderTest {
  readonly script: string
  readonly bindings: Record<string, string>
  /** By the name of the binding, the place of the database. */
  readonly databases: Record<string, number>
  readonly services?: Record<string, (request: Request) => Promise<Response>>
  readonly outbound: (request: Request) => Promise<Response>
}

const MAIN = `import worker from './worker.mjs'
export default {
  async fetch(request, env) {
    const { at, vars, statements, raw } = JSON.parse(request.headers.get('x-storage'))
    const DB = env['DB' + at]
    if (vars) return worker.fetch(request, { DB, ...vars })
    try {
      const bound = (await request.json()).map(({ sql, params = [] }) => {
        const statement = DB.prepare(sql)
        return params.length === 0 ? statement : statement.bind(...params)
      })
      return Response.json(raw ? await bound[0].raw({ columnNames: true }) : await DB.batch(bound))
    } catch (error) {
      return Response.json({ error: error.message }, { status: 500 })
    }
  },
}`

/** @param count how many databases there may ever be */
export async function startStorage(count: number, worker?: WorkerUnderTest): Promise<Storage> {
  const names = Array.from({ length: count }, (_, at) => `DB${at}`)
  const compatibilityDate = '2026-04-01'
  const engine = {
    name: 'storage',
    modules: [
      { type: 'ESModule' as const, path: 'main.mjs', contents: MAIN },
      { type: 'ESModule' as const, path: 'worker.mjs', contents: DATA_WORKER },
    ],
    compatibilityDate,
    d1Databases: Object.fromEntries(names.map((name) => [name, name])),
    // A socket of its own: through Miniflare's each request takes twice as long.
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
  }
  const tested = worker && {
    name: 'app',
    modules: true as const,
    script: worker.script,
    compatibilityDate,
    bindings: worker.bindings,
    d1Databases: Object.fromEntries(Object.entries(worker.databases).map(([name, at]) => [name, `DB${at}`])),
    serviceBindings: (worker.services ?? {}) as any,
    outboundService: worker.outbound as any,
  }
  const miniflare = new Miniflare(convertV4MiniflareOptions({ workers: tested ? [tested, engine] : [engine] }))
  const address = await miniflare.unsafeGetDirectURL('storage')
  let used = 0

  async function ask(head: unknown, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers)
    headers.set('x-storage', JSON.stringify(head))
    return globalThis.fetch(address, { ...init, headers })
  }

  return {
    take() {
      if (used >= count) throw new Error(`All ${count} databases are used`)
      return used++
    },
    async run(at, statements, raw) {
      const response = await ask({ at, raw }, { method: 'POST', body: JSON.stringify(statements) })
      const answer: any = await response.json()
      if (response.status === 200) return answer
      throw new Error(answer.error)
    },
    binding: async (at) => (await miniflare.getD1Database(`DB${at}`, 'storage')) as unknown as D1Database,
    tenantWorker: (at, vars, request) => ask({ at, vars }, request),
    fetch: async (url, init) => (await miniflare.dispatchFetch(url, init as never)) as unknown as Response,
    port: async () => (await miniflare.ready).port,
    stop: () => miniflare.dispose(),
  }
}

import { WorkerEntrypoint } from 'cloudflare:workers'
import { Database, type Stub } from './database.ts'
import { History } from './history.ts'
import { type Loader, loadScript } from './scripts.ts'
import type { WireScript, WireStatement } from './wire.ts'

export { Database, History }

interface Env {
  readonly DATABASES: { getByName(uuid: string): Stub<Database> }
  readonly LOADER: Loader
  /** Any D1 database: its class is the real binding's code. */
  readonly SEED: object
  /** Only the emulator knows it; other processes of this machine can reach the port. */
  readonly SECRET: string
  /** The emulator itself: it has the scripts. */
  readonly HOST: { fetch(url: string): Promise<Response> }
}

interface Context {
  readonly exports: { Storage(options: { props: StorageProps }): unknown }
}

interface StorageProps {
  readonly uuid: string
}

/** How far the emulator's clock is from the machine's, in milliseconds: bindings have no other way to know it. */
let clockOffset = 0

const bookmarkHeader = 'x-cf-d1-session-commit-token'

/** Serves the D1 bindings of scripts, in the protocol that the binding's own code uses. */
export class Storage extends WorkerEntrypoint<Env, StorageProps> {
  async fetch(request: Request): Promise<Response> {
    const body = (await request.json()) as WireStatement | readonly WireStatement[]
    const statements = (Array.isArray(body) ? body : [body]) as readonly WireStatement[]
    const database = this.env.DATABASES.getByName(this.ctx.props.uuid)
    const run = await database.run(statements, Date.now() + clockOffset)
    if (!run.ok) return Response.json({ success: false, error: run.error }, { status: 500 })
    const asRows = new URL(request.url).searchParams.get('resultsFormat') === 'ROWS_AND_COLUMNS'
    const results = run.results.map(({ columns, rows, meta }) => ({
      success: true,
      results: asRows ? { columns, rows } : rows.map((row) => toObject(columns, row)),
      meta: { served_by: 'tenantry-emulator', served_by_primary: true, ...meta },
    }))
    return Response.json(results, { headers: { [bookmarkHeader]: run.bookmark } })
  }
}

function toObject(columns: readonly string[], row: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(columns.map((column, index) => [column, row[index]]))
}

export default {
  async fetch(request: Request, env: Env, ctx: Context): Promise<Response> {
    const { headers } = request
    if (headers.get('x-emulator-secret') !== env.SECRET) return new Response(null, { status: 403 })
    clockOffset = Number(headers.get('x-emulator-now')) - Date.now()
    const [, kind, ...rest] = new URL(request.url).pathname.split('/').map(decodeURIComponent)
    if (kind === 'script') return await dispatch(rest.join('/'), request, env, ctx)
    const [uuid = '', method = ''] = rest
    const stub = env.DATABASES.getByName(uuid) as unknown as Record<string, (...args: unknown[]) => unknown>
    const args = (await request.json()) as unknown[]
    return Response.json((await stub[method]?.(...args)) ?? null)
  },
}

async function dispatch(id: string, request: Request, env: Env, ctx: Context): Promise<Response> {
  const load = async (): Promise<WireScript> =>
    (await (await env.HOST.fetch(`http://host/${encodeURIComponent(id)}`)).json()) as WireScript
  const script = loadScript({
    ...{ id, load, loader: env.LOADER, seed: env.SEED },
    getStorage: (uuid) => ctx.exports.Storage({ props: { uuid } }),
  })
  const headers = new Headers(request.headers)
  const url = headers.get('x-emulator-url') ?? ''
  for (const name of ['secret', 'now', 'url']) headers.delete(`x-emulator-${name}`)
  const { method, body } = request
  try {
    return await script.fetch(new Request(url, { method, headers, body, redirect: 'manual' }))
  } catch (error) {
    // An error that a script throws reaches the caller of the dispatcher, as in a Worker.
    const message = error instanceof Error ? error.message : String(error)
    return new Response(message, { status: 500, headers: { 'x-emulator-error': 'script-threw' } })
  }
}

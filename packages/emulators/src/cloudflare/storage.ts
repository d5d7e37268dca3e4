import { randomBytes } from 'node:crypto'
import type { Reply } from '../http.ts'
import { databaseNotFound } from './envelope.ts'
import type {
  WireDumpOptions,
  WireMoment,
  WireRun,
  WireScript,
  WireStatement,
  WireTravel,
} from './worker/wire.ts'
import { workerModules } from './worker-modules.ts'

/** The engine: a Durable Object with SQLite for each database, and the scripts, all in one workerd. */
export interface Storage {
  create(uuid: string): Promise<void>
  destroy(uuid: string): Promise<void>
  exists(uuid: string): Promise<boolean>
  info(uuid: string): Promise<{ num_tables: number; file_size: number }>
  /** One transaction. */
  run(uuid: string, statements: readonly WireStatement[]): Promise<WireRun>
  dump(
    uuid: string,
    options: WireDumpOptions,
  ): Promise<{ ok: true; text: string } | { ok: false; error: string }>
  bookmark(uuid: string, moment: WireMoment): Promise<WireTravel>
  restore(uuid: string, moment: WireMoment): Promise<WireTravel>
  /** Sends a request to the script of an id. */
  dispatch(id: string, request: DispatchedRequest): Promise<Reply>
  close(): Promise<void>
}

/** A request to a script. */
export interface DispatchedRequest {
  readonly method: string
  /** The address the script sees. */
  readonly url: string
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Uint8Array
}

/** How to start the engine. */
export interface StorageOptions {
  /** Where the databases' files live. */
  readonly directory: string
  readonly now: () => number
  /** What a script's id stands for. */
  script(id: string): WireScript | undefined
}

/** Scripts of the emulator's own run by the rules of this day. */
const compatibilityDate = '2026-04-01'

/** What belongs to one connection and not to the message. */
const hopHeaders = new Set([
  'connection',
  'transfer-encoding',
  'content-length',
  'content-encoding',
  'keep-alive',
])

/**
 * Starts workerd.
 *
 * @throws Error when it does not start
 */
export async function startStorage({ directory, now, script }: StorageOptions): Promise<Storage> {
  // Only here: whoever emulates something else need not wait for it.
  const { convertV4MiniflareOptions, Log, LogLevel, Miniflare } = await import('miniflare')
  const secret = randomBytes(24).toString('base64url')
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      name: 'tenantry-cloudflare',
      modules: workerModules(),
      compatibilityDate,
      durableObjects: {
        DATABASES: { className: 'Database', useSQLite: true },
        HISTORY: { className: 'History', useSQLite: true },
      },
      durableObjectsPersist: directory,
      d1Databases: { SEED: 'seed' },
      workerLoaders: { LOADER: {} },
      bindings: { SECRET: secret },
      serviceBindings: {
        HOST: async (request: { url: string }) => {
          const found = script(decodeURIComponent(new URL(request.url).pathname.slice(1)))
          return Response.json(found ?? null) as never
        },
      },
      cf: false,
      log: new Log(LogLevel.NONE),
    }),
  )
  try {
    await miniflare.ready
  } catch (error) {
    await miniflare.dispose()
    throw error
  }
  const own = (): Record<string, string> => ({ 'x-emulator-secret': secret, 'x-emulator-now': String(now()) })

  const call = async <T>(uuid: string, method: string, ...args: unknown[]): Promise<T> => {
    const response = await miniflare.dispatchFetch(`http://storage/database/${uuid}/${method}`, {
      method: 'POST',
      headers: own(),
      body: JSON.stringify(args),
    })
    if (response.status !== 200)
      throw new Error(`workerd answered ${response.status}: ${await response.text()}`)
    return (await response.json()) as T
  }
  const settled = <T extends { ok: boolean }>(uuid: string, outcome: T): T => {
    if (!outcome.ok && (outcome as { error?: string }).error === 'The database could not be found') {
      throw databaseNotFound(uuid)
    }
    return outcome
  }
  return {
    create: (uuid) => call(uuid, 'create', uuid, now()),
    destroy: (uuid) => call(uuid, 'destroy'),
    exists: (uuid) => call(uuid, 'exists'),
    info: (uuid) => call(uuid, 'info'),
    run: async (uuid, statements) => settled(uuid, await call<WireRun>(uuid, 'run', statements, now())),
    dump: (uuid, options) => call(uuid, 'dump', options),
    bookmark: async (uuid, moment) => settled(uuid, await call<WireTravel>(uuid, 'bookmark', moment)),
    restore: async (uuid, moment) => settled(uuid, await call<WireTravel>(uuid, 'restore', moment, now())),
    dispatch: async (id, { method, url, headers, body }) => {
      const response = await miniflare.dispatchFetch(`http://storage/script/${encodeURIComponent(id)}`, {
        method,
        headers: [...headers, ...Object.entries(own()), ['x-emulator-url', url]] as [string, string][],
        ...(method === 'GET' || method === 'HEAD' ? {} : { body }),
        redirect: 'manual',
      })
      const kept: Record<string, string | string[]> = {}
      for (const [name, value] of response.headers) if (!hopHeaders.has(name)) kept[name] = value
      const cookies = response.headers.getSetCookie()
      if (cookies.length > 0) kept['set-cookie'] = cookies
      return { status: response.status, headers: kept, body: new Uint8Array(await response.arrayBuffer()) }
    },
    close: () => miniflare.dispose(),
  }
}

import { Agent } from 'node:http'
import { type Reply, sendLocal } from '../http.ts'
import { databaseNotFound } from './envelope.ts'
import type {
  WireDumpOptions,
  WireMoment,
  WireProblem,
  WireRun,
  WireStatement,
  WireTravel,
} from './worker/wire.ts'

/** The engine: a Durable Object with SQLite for each database, and the scripts, all in one workerd. */
export interface Storage {
  create(uuid: string): Promise<void>
  destroy(uuid: string): Promise<void>
  exists(uuid: string): Promise<boolean>
  info(uuid: string): Promise<{ num_tables: number; file_size: number }>
  /** One transaction. */
  run(uuid: string, statements: readonly WireStatement[]): Promise<WireRun>
  dump(uuid: string, options: WireDumpOptions): Promise<{ ok: true; text: string } | WireProblem>
  bookmark(uuid: string, moment: WireMoment): Promise<WireTravel>
  restore(uuid: string, moment: WireMoment): Promise<WireTravel>
  /** Sends a request to the script of an id. */
  dispatch(id: string, request: DispatchedRequest): Promise<Reply>
  close(): void
}

/** A request to a script. */
export interface DispatchedRequest {
  readonly method: string
  /** The address the script sees. */
  readonly url: string
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: Uint8Array
}

/** What belongs to one connection and not to the message. */
const hopHeaders = new Set(['connection', 'transfer-encoding', 'content-length', 'keep-alive'])

/** The engine behind a port of workerd's. */
export function createStorage({
  port,
  secret,
  now,
}: {
  readonly port: number
  readonly secret: string
  readonly now: () => number
}): Storage {
  const agent = new Agent({ keepAlive: true })
  const own = (): Record<string, string> => ({
    'x-emulator-secret': secret,
    'x-emulator-now': String(now()),
  })

  const call = async <T>(uuid: string, method: string, ...args: unknown[]): Promise<T> => {
    const reply = await sendLocal({
      ...{ port, agent, method: 'POST', path: `/database/${uuid}/${method}`, headers: own() },
      body: JSON.stringify(args),
    })
    const text = Buffer.from(reply.body).toString()
    if (reply.status !== 200) throw new Error(`workerd answered ${reply.status}: ${text}`)
    return JSON.parse(text) as T
  }
  const assertFound = <T extends { ok: boolean }>(
    uuid: string,
    outcome: T | WireProblem,
  ): T | WireProblem => {
    if ('missing' in outcome && outcome.missing) throw databaseNotFound(uuid)
    return outcome
  }
  return {
    create: (uuid) => call(uuid, 'create', uuid, now()),
    destroy: (uuid) => call(uuid, 'destroy'),
    exists: (uuid) => call(uuid, 'exists'),
    info: (uuid) => call(uuid, 'info'),
    run: async (uuid, statements) => assertFound(uuid, await call<WireRun>(uuid, 'run', statements, now())),
    dump: async (uuid, options) =>
      assertFound(uuid, await call<{ ok: true; text: string }>(uuid, 'dump', options)),
    bookmark: async (uuid, moment) => assertFound(uuid, await call<WireTravel>(uuid, 'bookmark', moment)),
    restore: async (uuid, moment) =>
      assertFound(uuid, await call<WireTravel>(uuid, 'restore', moment, now())),
    dispatch: async (id, { method, url, headers, body }) => {
      const reply = await sendLocal({
        ...{ port, agent, method, path: `/script/${encodeURIComponent(id)}` },
        headers: { ...headers, ...own(), 'x-emulator-url': url },
        body: method === 'GET' || method === 'HEAD' ? undefined : body,
      })
      const endToEnd = Object.entries(reply.headers).filter(([name]) => !hopHeaders.has(name))
      return { ...reply, headers: Object.fromEntries(endToEnd) }
    },
    close: () => agent.destroy(),
  }
}

import type { IncomingHttpHeaders } from 'node:http'
import { type CloudflareOperation, classify } from './operations.ts'
import type { DatabaseRecord } from './records.ts'

/** One line of the emulator's request log. It never holds a token, a header or a body. */
export interface CloudflareRequestRecord {
  readonly method: string
  /**
   * `api` is Cloudflare's REST API, `dispatch` a request to a script, `files` a signed address; `foreign` is a
   * request for another host.
   */
  readonly plane: 'api' | 'dispatch' | 'files' | 'foreign'
  /** The path without its query; a signed address without its secret. */
  readonly path: string
  /** `undefined` when the operation is not emulated. */
  readonly operation: CloudflareOperation | undefined
  /** The database's name, where the request is about one that is known; else what the request calls it. */
  readonly database: string | undefined
  /** The script's name, where the request is about one. */
  readonly script: string | undefined
  /** The answered HTTP status; `undefined` while the request is under way and where it was cut off. */
  status: number | undefined
  /** Faults the request met, by name, in order. */
  readonly faults: string[]
}

/** A request on its way through the emulator. */
export interface Call {
  readonly record: CloudflareRequestRecord
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
  readonly parameters: Readonly<Record<string, string>>
}

/** Where the API begins. */
export const apiPath = '/client/v4'

const dispatchPath = /^\/_dispatch\/(?<namespace>[^/]+)\/(?<script>[^/]+)$/
const filePath = /^\/_files\/(?<file>[\w-]+)$/

/**
 * Reads what kind of call a request is.
 *
 * @param find The database of a uuid or a name.
 */
export function readCall(
  request: { method: string; url: string; headers: IncomingHttpHeaders; body: Uint8Array },
  find: (idOrName: string) => DatabaseRecord | undefined,
): Call {
  const { method, headers, body } = request
  const [path = '/', search = ''] = request.url.split(/\?(.*)/s, 2)
  const record = (about: Pick<CloudflareRequestRecord, 'plane' | 'operation' | 'database' | 'script'>) => ({
    ...{ method, path, ...about, status: undefined, faults: [] },
  })
  const rest = { method, path, query: new URLSearchParams(search), headers, body }
  const dispatched = dispatchPath.exec(path)?.groups
  if (dispatched !== undefined) {
    const parameters = Object.fromEntries(
      Object.entries(dispatched).map(([key, value]) => [key, decodeURIComponent(value)]),
    )
    const about = { plane: 'dispatch', operation: 'dispatch', database: undefined } as const
    return { ...rest, parameters, record: record({ ...about, script: parameters.script }) }
  }
  const file = filePath.exec(path)?.groups
  if (file !== undefined) {
    const about = { plane: 'files', operation: 'files', database: undefined, script: undefined } as const
    return { ...rest, parameters: { ...file }, record: { ...record(about), path: '/_files' } }
  }
  const below = path.startsWith(`${apiPath}/`) ? path.slice(apiPath.length) : undefined
  const classified = below === undefined ? undefined : classify(method, below)
  const parameters = classified?.parameters ?? {}
  const reference =
    parameters.database ?? (classified?.operation === 'databases.create' ? nameIn(body) : undefined)
  const database = reference === undefined ? undefined : (find(reference)?.name ?? reference)
  const about = {
    plane: 'api',
    operation: classified?.operation,
    database,
    script: parameters.script,
  } as const
  return { ...rest, parameters, record: record(about) }
}

/** A body as a JSON object; an empty one is `{}`, and `undefined` is none. */
export function readJson(body: Uint8Array): Record<string, unknown> | undefined {
  if (body.length === 0) return {}
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString())
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function nameIn(body: Uint8Array): string | undefined {
  const name = readJson(body)?.name
  return typeof name === 'string' ? name : undefined
}

import type { IncomingHttpHeaders } from 'node:http'
import { jsonReply, type Reply } from '../http.ts'
import { databaseAt, isOrganizationHostname } from './names.ts'
import { classify, type TursoOperation } from './operations.ts'

/** One line of the emulator's request log. It never holds a token, a header or a body. */
export interface RequestRecord {
  readonly method: string
  /** `foreign` is what no emulator should ever see: a host that is neither the platform nor a database. */
  readonly plane: 'platform' | 'data' | 'foreign'
  /** The host the client meant, such as `mydb-myorg.aws-us-east-1.turso.io`. */
  readonly host: string
  /** The path without its query. */
  readonly path: string
  readonly operation: TursoOperation | undefined
  /** The database's name, where the request is about one. */
  readonly database: string | undefined
  /** The answered HTTP status; `undefined` while the request is under way and where it was cut off. */
  status: number | undefined
  /** Faults the request met, by name, in order. */
  readonly faults: string[]
}

/** A request on its way through the emulator. */
export interface Call {
  readonly record: RequestRecord
  readonly method: string
  /** Path and query as the service behind sees them. */
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
  readonly parameters: Readonly<Record<string, string>>
  /** Set by a fault: tokens minted by this call are expired already. */
  expireToken: boolean
}

/** Answers a call. */
export type Handler = (call: Call) => Promise<Reply>

/** The path under which the emulator serves a database's own host: `/_db/{hostname}/…`. */
const dataPath = /^\/_db\/([^/?]+)(\/[^?]*)?(\?.*)?$/

/** Reads what kind of call an HTTP request to the emulator of this organization is. */
export function readCall(
  organization: string,
  request: { method: string; url: string; headers: IncomingHttpHeaders; body: Uint8Array },
): Call {
  const { method, url, headers, body } = request
  const data = dataPath.exec(url)
  if (data !== null) {
    const [, hostname = '', path = '/', query = ''] = data
    const host = hostname.toLowerCase()
    const ours = isOrganizationHostname(organization, host)
    const about = ours
      ? ({ plane: 'data', operation: 'data', database: databaseAt(organization, host) } as const)
      : ({ plane: 'foreign', operation: undefined, database: undefined } as const)
    const record: RequestRecord = { method, ...about, host, path, status: undefined, faults: [] }
    return { record, method, target: path + query, headers, body, parameters: {}, expireToken: false }
  }
  const path = url.split('?', 1)[0] ?? url
  const classified = classify(method, path)
  const parameters = classified?.parameters ?? {}
  const record: RequestRecord = {
    ...{ method, plane: 'platform', host: headers.host ?? '', path, status: undefined, faults: [] },
    operation: classified?.operation,
    database:
      parameters.database ?? (classified?.operation === 'databases.create' ? nameIn(body) : undefined),
  }
  return { record, method, target: url, headers, body, parameters, expireToken: false }
}

/** A body as JSON, for any content-type (the official client sends `text/plain`); `undefined` when it is not JSON. */
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

/** What sqld answers for a host it does not know; the emulator says it for hosts sqld never sees. */
export function namespaceNotFound(hostname: string): Reply {
  return jsonReply(404, { error: `Namespace \`${hostname.split('.', 1)[0]}\` doesn't exist` })
}

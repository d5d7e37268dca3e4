import {
  classifyConnectionError,
  configError,
  HttpError,
  hmacSha256,
  parseJsonObject,
  type Redactor,
  TenancyError,
  toHex,
} from '@tenantry/multi-tenancy/provider'
import type { D1Result } from '../client/d1-database.ts'
import { createRemoteDatabase, type Session, type Transport } from '../client/remote-database.ts'
import type { BoundStatement } from '../client/values.ts'
import type { RestApi } from '../control-plane/rest-api.ts'
import { createTenantWorkers, type TenantWorkers, toScriptName } from '../control-plane/tenant-workers.ts'
import { createD1Error, isWorkerMissing, WORKER_NOT_FOUND } from '../errors.ts'
import type { DatabaseRef, DispatchAccess } from '../types.ts'
import type { AccessMethod } from './access-method.ts'
import type { OpenTransport } from './rest-method.ts'

/** Access through the tenants' Workers in a dispatch namespace. */
export interface DispatchMethod extends AccessMethod {
  readonly workers: TenantWorkers
}

export interface DispatchMethodOptions {
  readonly api: Pick<RestApi, 'request'>
  /** For managing a database whose Worker does not exist. */
  readonly openTransport: OpenTransport
  readonly redactor: Redactor
  /** Milliseconds that one request may take. */
  readonly requestTimeout: number
}

const TENANT_WORKER = 'The tenant Worker'
/** The Worker ignores the URL. */
const WORKER_URL = 'https://tenant-database.invalid/'

/** @throws `config_invalid` */
export function createDispatchMethod(access: DispatchAccess, options: DispatchMethodOptions): DispatchMethod {
  const { namespace, secret, dispatcher } = access
  const { api, openTransport, redactor } = options
  if (!/^[\w-]{1,63}$/.test(namespace ?? '')) {
    throw configError('access', 'kind dispatch needs the name of a namespace')
  }
  if (typeof secret !== 'string' || secret.length < 32) {
    throw configError('access', 'kind dispatch needs a secret of at least 32 characters')
  }
  if (dispatcher !== undefined && typeof dispatcher?.get !== 'function') {
    throw configError('access', 'dispatcher must be a binding to the dispatch namespace')
  }
  redactor.keep(secret)

  async function deriveRedactedKey({ uuid }: DatabaseRef): Promise<string> {
    const key = await deriveKey(secret, uuid)
    redactor.add(key)
    return key
  }

  return {
    kind: 'dispatch',
    workers: createTenantWorkers({ api, namespace, deriveKey: deriveRedactedKey }),
    async open(database, { purpose }) {
      if (dispatcher === undefined) return undefined
      const send = createSender(
        database,
        { ...access, dispatcher },
        await deriveRedactedKey(database),
        options.requestTimeout,
      )
      const transport = createDispatchTransport(send)
      return createRemoteDatabase(
        purpose === 'manage' ? withFallback(transport, openTransport(database)) : transport,
      )
    },
  }
}

interface WorkerRequest {
  readonly statements: readonly unknown[]
  readonly raw?: boolean
  readonly bookmark?: string
}

interface WorkerResponse {
  readonly results: unknown[]
  readonly bookmark?: string | null
}

type Send = (request: WorkerRequest) => Promise<WorkerResponse>

function createSender(
  database: DatabaseRef,
  { dispatcher, limits }: DispatchAccess,
  key: string,
  requestTimeout: number,
): Send {
  const scriptName = toScriptName(database)
  return async (request) => {
    let response: Response | undefined
    try {
      // A new stub for each request: a stub belongs to the request that created it.
      response = await dispatcher
        ?.get(scriptName, {}, limits === undefined ? {} : { limits })
        .fetch(WORKER_URL, {
          method: 'POST',
          headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
          body: JSON.stringify({ database: database.uuid, ...request }),
          redirect: 'manual',
          signal: AbortSignal.timeout(requestTimeout),
        })
    } catch (cause) {
      throw toDispatchError(cause)
    }
    return readResponse(response)
  }
}

function createDispatchTransport(send: Send): Transport {
  async function run(request: WorkerRequest, session: Session | undefined): Promise<unknown[]> {
    const { results, bookmark } = await send(
      session === undefined ? request : { ...request, bookmark: session.bookmark },
    )
    if (typeof bookmark === 'string') session?.advance(bookmark)
    return results
  }
  return {
    hasSessions: true,
    all: async (statements, session) =>
      (await run({ statements: statements.map(encodeStatement) }, session)) as D1Result[],
    async raw(statement, session) {
      const results = await run({ statements: [encodeStatement(statement)], raw: true }, session)
      const [columns = [], ...rows] = results as unknown[][]
      return { columns: columns as string[], rows }
    },
  }
}

/** Uses the second transport where the Worker of the first does not exist, because nothing was carried out then. */
function withFallback(first: Transport, second: Transport): Transport {
  async function runEither<Value>(operation: (transport: Transport) => Promise<Value>): Promise<Value> {
    try {
      return await operation(first)
    } catch (error) {
      if (!isWorkerMissing(error)) throw error
      return operation(second)
    }
  }
  return {
    hasSessions: first.hasSessions,
    all: (statements, session) =>
      runEither((transport) => transport.all(statements, transport === first ? session : undefined)),
    raw: (statement, session) =>
      runEither((transport) => transport.raw(statement, transport === first ? session : undefined)),
  }
}

/** @throws D1's own error for a rejected statement; an HttpError for any other failure */
async function readResponse(response: Response | undefined): Promise<WorkerResponse> {
  const status = response?.status ?? 0
  const body = parseJsonObject((await response?.text()) ?? '')
  if (body?.tenantry !== 1) {
    const message = `${TENANT_WORKER} did not respond, or another program responded`
    throw new HttpError(TENANT_WORKER, status >= 500 ? status : 0, message)
  }
  if (status === 200 && Array.isArray(body.results)) return body as unknown as WorkerResponse
  if (body.refused === true) throw createD1Error(String(body.error).replace(/^D1_ERROR: /, ''))
  if (status === 423) throw classifyConnectionError({ same: true, closed: true })
  if (status === 409) throw classifyConnectionError({ same: false })
  throw new HttpError(TENANT_WORKER, status, `${TENANT_WORKER} rejected its key`)
}

/** Cloudflare reports a Worker that does not exist by this message only. Whether its database exists, the API knows. */
function toDispatchError(cause: unknown): unknown {
  if (cause instanceof Error && cause.name === 'TimeoutError') {
    return new TenancyError('timeout', `${TENANT_WORKER} did not respond in time`, { cause })
  }
  const isMissing = cause instanceof Error && cause.message.startsWith('Worker not found')
  return new HttpError(TENANT_WORKER, isMissing ? 404 : 0, `${TENANT_WORKER} cannot be reached`, {
    cause,
    codes: isMissing ? [WORKER_NOT_FOUND] : [],
  })
}

/** JSON has no bytes: they are sent as base64. */
function encodeStatement({ sql, params }: BoundStatement): BoundStatement {
  return {
    sql,
    params: params.map((value) => (value instanceof Uint8Array ? { bytes: toBase64(value) } : value)),
  }
}

/** Not `String.fromCharCode(...bytes)`: a blob has up to two million bytes, too many for arguments. */
function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

/** The key of one database. It opens no other tenant's database. */
export async function deriveKey(secret: string, uuid: string): Promise<string> {
  return toHex(await hmacSha256(new TextEncoder().encode(secret), `tenantry-d1:${uuid}`))
}

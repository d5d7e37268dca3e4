import { classifyConnectionError, configError, type Redactor, TenancyError } from '@tenantry/multi-tenancy'
import type { D1Result } from '../client/d1-database.ts'
import { createRemoteDatabase, type SessionState, type Transport } from '../client/remote-database.ts'
import type { BoundStatement } from '../client/values.ts'
import type { D1Api, KnownD1 } from '../control-plane/rest-api.ts'
import { ApiError, isMissingWorker, WORKER_NOT_FOUND } from '../control-plane/strict-fetch.ts'
import { createTenantWorkers, scriptNameOf, type TenantWorkers } from '../control-plane/tenant-workers.ts'
import { d1Error } from '../errors.ts'
import type { DispatchAccess, Rung } from '../types.ts'

/** A dispatch namespace: the tenants' Workers in it, and the way through them. */
export interface DispatchRung extends Rung {
  readonly workers: TenantWorkers
}

export interface DispatchRungOptions {
  readonly api: Pick<D1Api, 'call'>
  /** The way for managing a database whose Worker is not there. */
  readonly rest: (database: KnownD1) => Transport
  readonly redactor: Redactor
  /** Milliseconds one request may take. */
  readonly requestTimeout: number
}

const ADDRESS = 'https://tenant-database.invalid/'

/** @throws `config_invalid` */
export function createDispatchRung(access: DispatchAccess, options: DispatchRungOptions): DispatchRung {
  const { namespace, secret, dispatcher, limits } = access
  const { api, rest, redactor, requestTimeout } = options
  if (!/^[\w-]{1,63}$/.test(namespace ?? ''))
    throw configError('access', 'dispatch needs the name of a namespace')
  if (typeof secret !== 'string' || secret.length < 32) {
    throw configError('access', 'dispatch needs a secret of at least 32 characters')
  }
  if (dispatcher !== undefined && typeof dispatcher?.get !== 'function') {
    throw configError('access', 'dispatcher must be a dispatch namespace binding')
  }
  redactor.keep(secret)

  async function keyOf({ uuid }: KnownD1): Promise<string> {
    const key = await deriveKey(secret, uuid)
    redactor.add(key)
    return key
  }

  return {
    kind: 'dispatch',
    workers: createTenantWorkers({ api, namespace, keyOf }),
    async open(database, managing) {
      if (dispatcher === undefined) return undefined
      const authorization = `Bearer ${await keyOf(database)}`
      const script = scriptNameOf(database)

      async function send(body: Wire): Promise<Answer> {
        const response = await Promise.resolve()
          .then(() =>
            // Asked for anew each time: a stub belongs to the request that got it.
            dispatcher?.get(script, {}, limits === undefined ? {} : { limits }).fetch(ADDRESS, {
              method: 'POST',
              headers: { authorization, 'content-type': 'application/json' },
              body: JSON.stringify({ database: database.uuid, ...body }),
              redirect: 'manual',
              signal: AbortSignal.timeout(requestTimeout),
            }),
          )
          .catch((cause: unknown) => {
            throw asMissing(cause)
          })
        return read(response)
      }

      const transport: Transport = {
        sessions: true,
        async all(statements, session) {
          const { results, bookmark } = await send({
            statements: statements.map(toWire),
            ...bookmarkOf(session),
          })
          moveOn(session, bookmark)
          return results as D1Result[]
        },
        async raw(statement, session) {
          const { results, bookmark } = await send({
            statements: [toWire(statement)],
            raw: true,
            ...bookmarkOf(session),
          })
          moveOn(session, bookmark)
          const [columns = [], ...rows] = results as unknown[][]
          return { columns: columns as string[], rows }
        },
      }
      return createRemoteDatabase(managing ? withFallback(transport, rest(database)) : transport)
    },
  }
}

/** The second way where the Worker of the first is not there, which then has carried nothing out. */
function withFallback(first: Transport, second: Transport): Transport {
  return {
    sessions: first.sessions,
    all: (statements, session) =>
      first.all(statements, session).catch(ifMissing(() => second.all(statements))),
    raw: (statement, session) => first.raw(statement, session).catch(ifMissing(() => second.raw(statement))),
  }
}

function ifMissing<Value>(otherwise: () => Promise<Value>): (error: unknown) => Promise<Value> {
  return (error) => {
    if (isMissingWorker(error)) return otherwise()
    throw error
  }
}

interface Wire {
  readonly statements: readonly BoundStatement[]
  readonly raw?: boolean
  readonly bookmark?: string
}

interface Answer {
  readonly results: unknown[]
  readonly bookmark?: string | null
}

/** @throws D1's own error for a refused statement; ApiError for everything else */
async function read(response: Response | undefined): Promise<Answer> {
  const { status = 0 } = response ?? {}
  const text = (await response?.text()) ?? ''
  const body = parse(text)
  if (body?.tenantry !== 1) throw new ApiError(status >= 500 ? status : 0, 'The tenant Worker did not answer')
  if (status === 200 && Array.isArray(body.results)) return body as unknown as Answer
  if (body.refused === true) throw d1Error(String(body.error).replace(/^D1_ERROR: /, ''))
  if (status === 423) throw classifyConnectionError({ same: true, closed: true })
  if (status === 409) throw classifyConnectionError({ same: false })
  throw new ApiError(status, 'The tenant Worker refused its key')
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The Worker is not there; why, only the API knows. */
function asMissing(cause: unknown): unknown {
  if (cause instanceof Error && cause.name === 'TimeoutError') {
    return new TenancyError('timeout', 'No answer from the tenant Worker in time', { cause })
  }
  const missing = cause instanceof Error && cause.message.startsWith('Worker not found')
  return new ApiError(missing ? 404 : 0, 'The tenant Worker could not be reached', {
    cause,
    codes: missing ? [WORKER_NOT_FOUND] : [],
  })
}

function toWire({ sql, params }: BoundStatement): BoundStatement {
  return {
    sql,
    params: params.map((value) => (value instanceof Uint8Array ? { bytes: base64Of(value) } : value)),
  }
}

function base64Of(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

function bookmarkOf(session: SessionState | undefined): { bookmark?: string } {
  return session === undefined ? {} : { bookmark: session.bookmark }
}

function moveOn(session: SessionState | undefined, bookmark: string | null | undefined): void {
  if (session !== undefined && typeof bookmark === 'string') session.bookmark = bookmark
}

/** A key for one database: who learns it can open no other. */
export async function deriveKey(secret: string, uuid: string): Promise<string> {
  const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', bytes(secret), algorithm, false, ['sign'])
  const signature = await crypto.subtle.sign('HMAC', key, bytes(`tenantry-d1:${uuid}`))
  return Array.from(new Uint8Array(signature), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

import { configError, type Redactor, TenancyError } from '@tenantry/multi-tenancy'
import { type Fetch, HttpError, retryAfterOf, send } from '../http.ts'
import { createRateGate } from '../rate-gate.ts'
import type { HostCheck } from './allowed-hosts.ts'

/** A database as the Platform API shows it. */
export interface TursoDatabase {
  readonly name: string
  /** `DbId`: another incarnation of the name has another. */
  readonly id: string
  /** Checked. Never derived from the name: the rule differs by region and age. */
  readonly hostname: string
}

/** The few calls of the Platform API that a tenant's life needs. Each may throw an {@link HttpError}. */
export interface PlatformApi {
  create(name: string, group: string, signal: AbortSignal): Promise<TursoDatabase>
  /** `undefined` only when the service says there is none. */
  get(name: string, signal: AbortSignal): Promise<TursoDatabase | undefined>
  /** Those of one group. */
  list(
    query: { group: string; prefix: string; cursor?: string | undefined },
    signal: AbortSignal,
  ): Promise<{ databases: TursoDatabase[]; cursor: string | undefined }>
  /** Absent is done. */
  delete(name: string, signal: AbortSignal): Promise<void>
  /** A token that opens the database which has the name now, and no other. */
  mintToken(name: string, expiration: string, signal: AbortSignal): Promise<string>
  /** Ends every token there is of the database. */
  rotateTokens(name: string, signal: AbortSignal): Promise<void>
  /** Blocks reads and writes, or lets them through again. */
  block(name: string, blocked: boolean, signal: AbortSignal): Promise<void>
  /** Whether both are blocked. */
  isBlocked(name: string, signal: AbortSignal): Promise<boolean>
}

/** How to reach the Platform API. */
export interface PlatformApiOptions {
  readonly organizationName: string
  readonly apiToken: string
  readonly baseUrl: string
  readonly fetch: Fetch
  readonly checkHost: HostCheck
  readonly redactor: Redactor
  readonly now: () => number
}

interface CallOptions {
  readonly query?: Record<string, string>
  readonly body?: unknown
  /** Whether an empty answer is one. */
  readonly silent?: boolean
  /** Of the database it is about, where the path does not say. */
  readonly name?: string
}

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/
const ID = /^[\w-]{1,128}$/
const TOKEN = /^[\w.~+/=-]{16,8192}$/
const PAGE = '100'

/** @see https://docs.turso.tech/api-reference/introduction */
export function createPlatformApi(options: PlatformApiOptions): PlatformApi {
  const { organizationName, apiToken, fetch, checkHost, redactor, now } = options
  const base = baseOf(options.baseUrl)
  const gate = createRateGate(now)

  async function call(
    method: string,
    path: readonly string[],
    signal: AbortSignal,
    { query = {}, body, silent = false, name = path[0] }: CallOptions = {},
  ): Promise<Record<string, unknown>> {
    const answered = gate.enter()
    const segments = ['v1', 'organizations', organizationName, 'databases', ...path].map(encodeURIComponent)
    const url = new URL(`${base}/${segments.join('/')}`)
    url.search = new URLSearchParams(query).toString()
    const response = await send(fetch, 'platform', url, {
      method,
      signal,
      headers: { authorization: `Bearer ${apiToken}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const retryAfter = retryAfterOf(response, now())
    answered({ status: response.status, retryAfter })
    const text = await textOf(response, signal)
    const answer = parse(text)
    if (response.ok) return answer ?? (silent && text === '' ? {} : unexpected())
    const { error, code } = answer ?? {}
    // Before it is cut: half a secret is not recognised.
    const said = typeof error === 'string' ? redactor.text(error).slice(0, 300) : ''
    throw new HttpError('platform', response.status, said, {
      words: wordsOf(said, name),
      retryAfter,
      serviceCode: typeof code === 'string' ? code : undefined,
    })
  }

  function databaseOf(value: unknown, name: string): TursoDatabase {
    const { Name, DbId, Hostname } = (value ?? {}) as Record<string, unknown>
    if (Name !== name || typeof DbId !== 'string' || !ID.test(DbId)) return unexpected()
    return { name, id: DbId, hostname: checkHost(Hostname) }
  }

  return {
    async create(name, group, signal) {
      const { database } = await call('POST', [], signal, { body: { name: checkName(name), group }, name })
      return databaseOf(database, name)
    },
    async get(name, signal) {
      const answer = await call('GET', [checkName(name)], signal).catch(unlessAbsent)
      return answer && databaseOf(answer.database, name)
    },
    async list({ group, prefix, cursor }, signal) {
      const query = { group, limit: PAGE, ...(cursor === undefined ? {} : { cursor }) }
      const { databases, pagination } = await call('GET', [], signal, { query })
      if (!Array.isArray(databases)) return unexpected()
      const ours = databases.filter(
        (value) => String(value?.Name).startsWith(prefix) && (value.group ?? group) === group,
      )
      const next = (pagination as { next?: unknown } | undefined)?.next
      // A service that does not know `cursor` would answer its first page for ever.
      if (next === cursor && next !== undefined) return unexpected()
      return {
        databases: ours.map((value) => databaseOf(value, String(value.Name))),
        cursor: typeof next === 'string' && next !== '' ? next : undefined,
      }
    },
    async delete(name, signal) {
      await call('DELETE', [checkName(name)], signal).catch(unlessAbsent)
    },
    async mintToken(name, expiration, signal) {
      const query = { expiration, authorization: 'full-access' }
      const { jwt } = await call('POST', [checkName(name), 'auth', 'tokens'], signal, { query, body: {} })
      if (typeof jwt !== 'string' || !TOKEN.test(jwt)) return unexpected()
      return jwt
    },
    async rotateTokens(name, signal) {
      // Answered without a body.
      await call('POST', [checkName(name), 'auth', 'rotate'], signal, { silent: true })
    },
    async block(name, blocked, signal) {
      const body = { block_reads: blocked, block_writes: blocked }
      const answer = await call('PATCH', [checkName(name), 'configuration'], signal, { body })
      if (answer.block_reads !== blocked || answer.block_writes !== blocked) return unexpected()
    },
    async isBlocked(name, signal) {
      const { block_reads, block_writes } = await call('GET', [checkName(name), 'configuration'], signal)
      return block_reads === true && block_writes === true
    },
  }
}

/** Whether the service says that there is no such database: its own 404, not that of a proxy or of an organization. */
export function isAbsent(error: unknown): boolean {
  if (!(error instanceof HttpError) || error.plane !== 'platform' || error.status !== 404) return false
  return error.words !== '' && !/organi[sz]ation|group/i.test(error.words)
}

/** A text without what stands in brackets and without the database's name, which are no words of the service. */
function wordsOf(text: string, name: string | undefined): string {
  const words = text.replaceAll(/\[[^\]]*\]/g, '')
  return name === undefined ? words : words.replaceAll(new RegExp(`(?<![\\w-])${name}(?![\\w-])`, 'g'), '')
}

function unlessAbsent(error: unknown): undefined {
  if (!isAbsent(error)) throw error
}

/** The core's names fit; this keeps any other text out of the path. */
function checkName(name: string): string {
  if (typeof name !== 'string' || !NAME.test(name)) throw new TenancyError('internal', 'Not a database name')
  return name
}

function baseOf(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(url?.hostname ?? '')
  if (url?.protocol !== 'https:' && !(local && url?.protocol === 'http:')) {
    throw configError('baseUrl', 'must be an https URL')
  }
  return url.origin + url.pathname.replace(/\/+$/, '')
}

async function textOf(response: Response, signal: AbortSignal): Promise<string> {
  try {
    return await response.text()
  } catch (cause) {
    if (signal.aborted) throw signal.reason
    throw new HttpError('platform', 0, 'The answer of Turso broke off', { cause })
  }
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function unexpected(): never {
  throw new HttpError('platform', 0, 'Turso answered in a form that is not the documented one')
}

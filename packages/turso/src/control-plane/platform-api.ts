import {
  createHttpClient,
  createRateGate,
  type Fetch,
  HttpError,
  parseBaseUrl,
  parseJsonObject,
  type Redactor,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import type { HostCheck, TursoDatabase } from '../locator.ts'

/** The calls of the Platform API that a tenant's lifecycle needs. Each may throw an {@link HttpError}. */
export interface PlatformApi {
  create(name: string, group: string, signal: AbortSignal): Promise<TursoDatabase>
  /** Resolves with `undefined` only when the service itself says that the database does not exist. */
  get(name: string, signal: AbortSignal): Promise<TursoDatabase | undefined>
  /** One page of a group's databases whose names start with `prefix`. */
  list(
    query: { group: string; prefix: string; cursor?: string | undefined },
    signal: AbortSignal,
  ): Promise<{ databases: TursoDatabase[]; cursor: string | undefined }>
  /** Deleting a database that does not exist succeeds. */
  delete(name: string, signal: AbortSignal): Promise<void>
  /** Mints a token for the database that has the name now, and for no other. */
  mintToken(name: string, expiration: string, signal: AbortSignal): Promise<string>
  /** Invalidates every token of the database. */
  rotateTokens(name: string, signal: AbortSignal): Promise<void>
  /** Blocks reads and writes (`closed`), or allows them again (`open`). */
  setAccess(name: string, access: 'open' | 'closed', signal: AbortSignal): Promise<void>
  /** Whether both reads and writes are blocked. */
  isClosed(name: string, signal: AbortSignal): Promise<boolean>
}

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
  /** Whether an empty response is a success. */
  readonly allowEmpty?: boolean
  /** The database, where the path does not begin with its name. */
  readonly name?: string
}

const SERVICE = 'The Turso Platform API'
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/
const ID = /^[\w-]{1,128}$/
const TOKEN = /^[\w.~+/=-]{16,8192}$/
const PAGE_SIZE = '100'

/** @see https://docs.turso.tech/api-reference/introduction */
export function createPlatformApi(options: PlatformApiOptions): PlatformApi {
  const { organizationName, apiToken, fetch, checkHost, redactor, now } = options
  const baseUrl = parseBaseUrl('baseUrl', options.baseUrl)
  const rateGate = createRateGate(SERVICE, now)
  const http = createHttpClient({ service: SERVICE, fetch, now, redactor, rateGate })

  async function call(
    method: string,
    path: readonly string[],
    signal: AbortSignal,
    { query = {}, body, allowEmpty = false, name = path[0] }: CallOptions = {},
  ): Promise<Record<string, unknown>> {
    const segments = ['v1', 'organizations', organizationName, 'databases', ...path].map(encodeURIComponent)
    const url = new URL(`${baseUrl}/${segments.join('/')}`)
    url.search = new URLSearchParams(query).toString()
    const response = await http.send(url, {
      method,
      signal,
      headers: { authorization: `Bearer ${apiToken}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await http.readText(response, signal)
    const content = parseJsonObject(text)
    if (response.ok) return content ?? (allowEmpty && text === '' ? {} : reject())
    const { error, code } = content ?? {}
    throw http.toError(response, {
      detail: typeof error === 'string' ? error : '',
      codes: typeof code === 'string' ? [code] : [],
      subject: name,
    })
  }

  function reject(): never {
    throw http.undocumented()
  }

  function parseDatabase(value: unknown, name: string): TursoDatabase {
    const { Name, DbId, Hostname } = (value ?? {}) as Record<string, unknown>
    if (Name !== name || typeof DbId !== 'string' || !ID.test(DbId)) return reject()
    return { name, id: DbId, hostname: checkHost(Hostname) }
  }

  return {
    async create(name, group, signal) {
      const { database } = await call('POST', [], signal, { body: { name: checkName(name), group }, name })
      return parseDatabase(database, name)
    },
    async get(name, signal) {
      const content = await call('GET', [checkName(name)], signal).catch(ignoreMissing)
      return content && parseDatabase(content.database, name)
    },
    async list({ group, prefix, cursor }, signal) {
      const query = { group, limit: PAGE_SIZE, ...(cursor === undefined ? {} : { cursor }) }
      const { databases, pagination } = await call('GET', [], signal, { query })
      if (!Array.isArray(databases)) return reject()
      const matching = databases.filter(
        (value) => String(value?.Name).startsWith(prefix) && (value.group ?? group) === group,
      )
      const next = (pagination as { next?: unknown } | undefined)?.next
      // A service that ignores `cursor` would return its first page again and again.
      if (next === cursor && next !== undefined) return reject()
      return {
        databases: matching.map((value) => parseDatabase(value, String(value.Name))),
        cursor: typeof next === 'string' && next !== '' ? next : undefined,
      }
    },
    async delete(name, signal) {
      await call('DELETE', [checkName(name)], signal).catch(ignoreMissing)
    },
    async mintToken(name, expiration, signal) {
      const query = { expiration, authorization: 'full-access' }
      const { jwt } = await call('POST', [checkName(name), 'auth', 'tokens'], signal, { query, body: {} })
      if (typeof jwt !== 'string' || !TOKEN.test(jwt)) return reject()
      return jwt
    },
    async rotateTokens(name, signal) {
      await call('POST', [checkName(name), 'auth', 'rotate'], signal, { allowEmpty: true })
    },
    async setAccess(name, access, signal) {
      const blocked = access === 'closed'
      const body = { block_reads: blocked, block_writes: blocked }
      const content = await call('PATCH', [checkName(name), 'configuration'], signal, { body })
      if (content.block_reads !== blocked || content.block_writes !== blocked) return reject()
    },
    async isClosed(name, signal) {
      const { block_reads, block_writes } = await call('GET', [checkName(name), 'configuration'], signal)
      return block_reads === true && block_writes === true
    },
  }
}

/** Whether the error is one of the Platform API, and not of a database. */
export function isPlatformError(error: unknown): error is HttpError {
  return error instanceof HttpError && error.service === SERVICE
}

/** Whether the service itself says that the database does not exist: not a proxy's 404, not that of an organization. */
export function isMissing(error: unknown): boolean {
  if (!isPlatformError(error) || error.status !== 404) return false
  const text = detailWithoutNames(error)
  return text !== '' && !/organi[sz]ation|group/i.test(text)
}

/**
 * Whether the database name is taken. Turso responds with 409 as documented, with 400 since 2026-07-30, and with the
 * 422 that its command line expects.
 *
 * @see https://github.com/tursodatabase/turso-docs/issues/409
 */
export function isDuplicate(error: unknown): boolean {
  if (!isPlatformError(error) || ![400, 409, 422].includes(error.status)) return false
  return /already exists|not available/i.test(error.detail)
}

/** The service's text without names of its resources: a database called `age-group` says nothing about groups. */
export function detailWithoutNames({ detail, subject }: HttpError): string {
  const text = detail.replaceAll(/\[[^\]]*\]/g, '')
  return subject === undefined
    ? text
    : text.replaceAll(new RegExp(`(?<![\\w-])${subject}(?![\\w-])`, 'g'), '')
}

function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error
}

/** Names from the core are valid; this check keeps any other text out of a path. */
function checkName(name: string): string {
  if (typeof name === 'string' && NAME.test(name)) return name
  throw new TenancyError('internal', `"${String(name)}" is not a valid name of a Turso database`)
}

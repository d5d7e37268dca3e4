import { TenancyError } from '@tenantry/multi-tenancy'
import { BaseDatabase } from 'cloudflare/resources/d1/database/database'
import { BaseTimeTravel } from 'cloudflare/resources/d1/database/time-travel'
import { createClient } from 'cloudflare/tree-shakable'
import type { D1Result } from '../client/d1-database.ts'
import type { BoundStatement } from '../client/values.ts'
import type { D1Place } from '../options.ts'
import { ApiError, createStrictFetch, isAbsent, type StrictFetchOptions, toApiError } from './strict-fetch.ts'

/** A database as the API shows it. */
export interface KnownD1 {
  /** What every call but the first look-up goes by: another incarnation of the name has another. */
  readonly uuid: string
  readonly name: string
}

/** What new databases are made with. */
export interface CreationOptions {
  readonly place: D1Place | undefined
  readonly readReplication: 'auto' | 'disabled' | undefined
}

/** The few calls of Cloudflare's API that a tenant's life needs. Each may throw an {@link ApiError}. */
export interface D1Api {
  create(name: string, options: CreationOptions, signal: AbortSignal): Promise<KnownD1>
  /** `undefined` only when Cloudflare says there is none of exactly this name. */
  find(name: string, signal: AbortSignal): Promise<KnownD1 | undefined>
  /** Whether the database is still there. */
  exists(uuid: string, signal: AbortSignal): Promise<boolean>
  /** A page of those whose names hold `name`, from page 1; a page with fewer than `perPage` is the last. */
  list(name: string, page: number, perPage: number, signal: AbortSignal): Promise<KnownD1[]>
  /** Absent is done. */
  delete(uuid: string, signal: AbortSignal): Promise<void>
  query(uuid: string, statements: readonly BoundStatement[], signal: AbortSignal): Promise<D1Result[]>
  raw(
    uuid: string,
    statement: BoundStatement,
    signal: AbortSignal,
  ): Promise<{ columns: string[]; rows: unknown[][] }>
  bookmark(uuid: string, at: string | undefined, signal: AbortSignal): Promise<string>
  restore(
    uuid: string,
    to: { bookmark: string } | { timestamp: string },
    signal: AbortSignal,
  ): Promise<{ bookmark: string; previous: string }>
  /** Any other call: of the account, with the segments of a path. Its `result`. */
  call(method: 'get' | 'put' | 'delete', path: readonly string[], options: CallBody): Promise<unknown>
}

export interface CallBody {
  readonly signal: AbortSignal
  readonly query?: Record<string, string>
  readonly body?: { readonly bytes: ArrayBuffer; readonly type: string }
}

/** How to reach the API. */
export interface D1ApiOptions extends StrictFetchOptions {
  readonly accountId: string
  readonly apiToken: string
  readonly baseUrl: string
  /** Milliseconds one request may take. */
  readonly requestTimeout: number
}

const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const BOOKMARK = /^[\w-]{1,256}$/
const SEGMENT = /^[\w-]{1,128}$/

/** @see https://developers.cloudflare.com/api/resources/d1/ */
export function createD1Api(options: D1ApiOptions): D1Api {
  const { accountId: account_id, apiToken, requestTimeout } = options
  const client = createClient({
    apiToken,
    // Else the SDK takes what it finds in the environment.
    ...{ apiKey: null, apiEmail: null, userServiceKey: null, logLevel: 'off' },
    baseURL: options.baseUrl,
    fetch: createStrictFetch(options),
    timeout: requestTimeout,
    // The SDK would repeat a create whose answer was lost; what may be repeated is the core's to say.
    maxRetries: 0,
    resources: [BaseDatabase, BaseTimeTravel],
  })
  const { database } = client.d1

  async function answer<Value>(work: Promise<Value>, signal: AbortSignal): Promise<NonNullable<Value>> {
    const value = await work.catch((error: unknown) => {
      throw toApiError(error, signal)
    })
    return value ?? unexpected()
  }

  function known(value: unknown, name?: string): KnownD1 {
    const { uuid, name: said } = (value ?? {}) as Record<string, unknown>
    if (typeof uuid !== 'string' || typeof said !== 'string' || !UUID.test(uuid)) return unexpected()
    if (name !== undefined && said !== name) return unexpected()
    return { uuid, name: said }
  }

  async function findByListing(name: string, signal: AbortSignal): Promise<KnownD1 | undefined> {
    for (let page = 1; ; page++) {
      const found = await list(name, page, LARGEST_PAGE, signal)
      const exact = found.find((each) => each.name === name)
      if (exact !== undefined || found.length < LARGEST_PAGE) return exact
    }
  }

  async function list(name: string, page: number, per_page: number, signal: AbortSignal): Promise<KnownD1[]> {
    const { result } = await answer(database.list({ account_id, name, page, per_page }, { signal }), signal)
    return Array.isArray(result) ? result.map((value) => known(value)) : unexpected()
  }

  return {
    list,
    async create(name, { place, readReplication }, signal) {
      const body = {
        name: checked(NAME, name),
        ...place,
        ...(readReplication === undefined ? {} : { read_replication: { mode: readReplication } }),
      }
      return known(await answer(database.create({ account_id, ...body }, { signal }), signal), name)
    },
    async find(name, signal) {
      try {
        // By its name, as Cloudflare's own command line does: one request, however many databases there are.
        return known(
          await answer(database.get(checked(NAME, name), { account_id }, { signal }), signal),
          name,
        )
      } catch (error) {
        if (isAbsent(error)) return undefined
        // "Invalid uuid": names are not documented here.
        if (error instanceof ApiError && error.status === 400 && error.codes.includes(7400))
          return findByListing(name, signal)
        throw error
      }
    },
    async exists(uuid, signal) {
      try {
        known(await answer(database.get(checked(UUID, uuid), { account_id }, { signal }), signal))
        return true
      } catch (error) {
        if (isAbsent(error)) return false
        throw error
      }
    },
    async delete(uuid, signal) {
      await database.delete(checked(UUID, uuid), { account_id }, { signal }).catch((error: unknown) => {
        const reason = toApiError(error, signal)
        if (!isAbsent(reason)) throw reason
      })
    },
    async query(uuid, statements, signal) {
      const work = database.query(checked(UUID, uuid), { account_id, ...bodyOf(statements) }, { signal })
      return resultsOf((await answer(work, signal)).result, statements.length) as D1Result[]
    },
    async raw(uuid, statement, signal) {
      const work = database.raw(checked(UUID, uuid), { account_id, ...bodyOf([statement]) }, { signal })
      const [first] = resultsOf((await answer(work, signal)).result, 1)
      const { columns = [], rows = [] } = (first?.results ?? {}) as { columns?: string[]; rows?: unknown[][] }
      return { columns, rows }
    },
    async bookmark(uuid, timestamp, signal) {
      const params = { account_id, ...(timestamp === undefined ? {} : { timestamp }) }
      const work = database.timeTravel.getBookmark(checked(UUID, uuid), params, { signal })
      return bookmarkIn((await answer(work, signal)).bookmark)
    },
    async restore(uuid, to, signal) {
      const work = database.timeTravel.restore(checked(UUID, uuid), { account_id, ...to }, { signal })
      const { bookmark, previous_bookmark } = await answer(work, signal)
      return { bookmark: bookmarkIn(bookmark), previous: bookmarkIn(previous_bookmark) }
    },
    async call(method, path, { signal, query = {}, body }) {
      const segments = path.map((segment) => checked(SEGMENT, segment))
      const work = client[method]<{ result?: unknown }>(`/accounts/${account_id}/${segments.join('/')}`, {
        signal,
        query,
        ...(body && { body: body.bytes, headers: { 'content-type': body.type } }),
      })
      return (await answer(work, signal)).result
    },
  }
}

/** The most entries a page may have. */
export const LARGEST_PAGE = 10_000

function bodyOf(statements: readonly BoundStatement[]): { sql: string; params?: string[] } {
  const [only] = statements
  // The SDK's types know text only; the API takes numbers and null too.
  const body = only !== undefined && statements.length === 1 ? only : { batch: statements }
  return body as { sql: string; params?: string[] }
}

/** One answer for each statement, each a success. */
function resultsOf(value: unknown, count: number): { success?: boolean; results?: unknown }[] {
  if (!Array.isArray(value) || value.length < count) return unexpected()
  if (value.some((each) => each?.success === false)) return unexpected()
  return value
}

function bookmarkIn(value: unknown): string {
  return typeof value === 'string' && BOOKMARK.test(value) ? value : unexpected()
}

/** The core's names and the API's ids fit; this keeps any other text out of the path. */
function checked(pattern: RegExp, value: string): string {
  if (typeof value !== 'string' || !pattern.test(value)) throw new TenancyError('internal', 'Not an id of D1')
  return value
}

function unexpected(): never {
  throw new ApiError(200, 'Cloudflare answered in a form that is not the documented one')
}

import { HttpError, type RateGate, type Redactor, TenancyError } from '@tenantry/multi-tenancy/provider'
import { BaseDatabase } from 'cloudflare/resources/d1/database/database'
import { BaseTimeTravel } from 'cloudflare/resources/d1/database/time-travel'
import { createClient } from 'cloudflare/tree-shakable'
import type { D1Result } from '../client/d1-database.ts'
import type { BoundStatement } from '../client/values.ts'
import { isDatabaseMissing } from '../errors.ts'
import type { D1Settings, DatabaseLocation } from '../options.ts'
import type { DatabaseRef } from '../types.ts'
import { CLOUDFLARE_API, createApiFetch, unwrapSdkError } from './api-fetch.ts'

/** Settings of new databases. */
export interface CreateSettings {
  readonly location: DatabaseLocation | undefined
  readonly readReplication: 'auto' | 'disabled' | undefined
}

/** Rows of one statement as lists. */
export interface RawRows {
  readonly columns: string[]
  readonly rows: unknown[][]
}

/** The calls of Cloudflare's API that the provider needs. Each may throw an `HttpError`. */
export interface RestApi {
  create(name: string, settings: CreateSettings, signal: AbortSignal): Promise<DatabaseRef>
  /** `undefined` only where Cloudflare reports that no database has exactly this name. */
  find(name: string, signal: AbortSignal): Promise<DatabaseRef | undefined>
  exists(uuid: string, signal: AbortSignal): Promise<boolean>
  /** One page of the databases whose names contain `name`. Pages begin at 1; a page that is not full is the last. */
  list(
    name: string,
    page: { readonly number: number; readonly size: number },
    signal: AbortSignal,
  ): Promise<DatabaseRef[]>
  /** Succeeds for a database that does not exist. */
  delete(uuid: string, signal: AbortSignal): Promise<void>
  /** Runs the statements as one transaction. */
  query(uuid: string, statements: readonly BoundStatement[], signal: AbortSignal): Promise<D1Result[]>
  /** As `query`, with rows as lists. */
  raw(uuid: string, statements: readonly BoundStatement[], signal: AbortSignal): Promise<RawRows[]>
  /** The newest bookmark at or before `timestamp` (ISO 8601), or the current one. */
  getBookmark(uuid: string, timestamp: string | undefined, signal: AbortSignal): Promise<string>
  restore(
    uuid: string,
    to: { bookmark: string } | { timestamp: string },
    signal: AbortSignal,
  ): Promise<{ bookmark: string; previous: string }>
  /** Sends any other request of the account and returns its `result`. */
  request(
    method: 'get' | 'put' | 'delete',
    path: readonly string[],
    options: RequestOptions,
  ): Promise<unknown>
}

export interface RequestOptions {
  readonly signal: AbortSignal
  readonly query?: Record<string, string>
  readonly body?: { readonly bytes: ArrayBuffer; readonly type: string }
}

export interface RestApiOptions
  extends Pick<D1Settings, 'accountId' | 'apiToken' | 'baseUrl' | 'requestTimeout' | 'fetch' | 'now'> {
  readonly redactor: Redactor
  readonly rateGate: RateGate
}

const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const BOOKMARK = /^[\w-]{1,256}$/
const PATH_SEGMENT = /^[\w-]{1,128}$/

/** Databases on a page, at most. */
export const MAX_PAGE_SIZE = 10_000

/** @see https://developers.cloudflare.com/api/resources/d1/ */
export function createRestApi(options: RestApiOptions): RestApi {
  const account_id = options.accountId
  const client = createSdkClient(options)
  const { database } = client.d1

  async function list(
    name: string,
    { number, size }: { number: number; size: number },
    signal: AbortSignal,
  ): Promise<DatabaseRef[]> {
    const query = { account_id, name, page: number, per_page: size }
    const { result } = await complete(database.list(query, { signal }), signal)
    return Array.isArray(result) ? result.map((value) => parseDatabase(value)) : throwUndocumented()
  }

  async function get(nameOrUuid: string, signal: AbortSignal): Promise<unknown> {
    return complete(database.get(nameOrUuid, { account_id }, { signal }), signal)
  }

  async function findByListing(name: string, signal: AbortSignal): Promise<DatabaseRef | undefined> {
    for (let number = 1; ; number++) {
      const databases = await list(name, { number, size: MAX_PAGE_SIZE }, signal)
      const match = databases.find((candidate) => candidate.name === name)
      if (match !== undefined || databases.length < MAX_PAGE_SIZE) return match
    }
  }

  return {
    list,
    async create(name, { location, readReplication }, signal) {
      const body = {
        name: check(NAME, name),
        ...location,
        ...(readReplication === undefined ? {} : { read_replication: { mode: readReplication } }),
      }
      return parseDatabase(await complete(database.create({ account_id, ...body }, { signal }), signal), name)
    },
    async find(name, signal) {
      try {
        // By name, as wrangler does: one request, however many databases the account has.
        return parseDatabase(await get(check(NAME, name), signal), name)
      } catch (error) {
        if (isDatabaseMissing(error)) return undefined
        // "Invalid uuid": the API's documentation does not mention names here.
        const namesAreRejected =
          error instanceof HttpError && error.status === 400 && error.codes.includes(7400)
        if (namesAreRejected) return findByListing(name, signal)
        throw error
      }
    },
    async exists(uuid, signal) {
      try {
        parseDatabase(await get(check(UUID, uuid), signal))
        return true
      } catch (error) {
        if (isDatabaseMissing(error)) return false
        throw error
      }
    },
    async delete(uuid, signal) {
      await database.delete(check(UUID, uuid), { account_id }, { signal }).catch((error: unknown) => {
        const reason = unwrapSdkError(error, signal)
        if (!isDatabaseMissing(reason)) throw reason
      })
    },
    async query(uuid, statements, signal) {
      const body = { account_id, ...toBody(statements) }
      const { result } = await complete(database.query(check(UUID, uuid), body, { signal }), signal)
      return parseResults(result, statements.length) as D1Result[]
    },
    async raw(uuid, statements, signal) {
      const body = { account_id, ...toBody(statements) }
      const { result } = await complete(database.raw(check(UUID, uuid), body, { signal }), signal)
      return parseResults(result, statements.length).map(({ results }) => {
        const { columns = [], rows = [] } = (results ?? {}) as Partial<RawRows>
        return { columns, rows }
      })
    },
    async getBookmark(uuid, timestamp, signal) {
      const query = { account_id, ...(timestamp === undefined ? {} : { timestamp }) }
      const call = database.timeTravel.getBookmark(check(UUID, uuid), query, { signal })
      return parseBookmark((await complete(call, signal)).bookmark)
    },
    async restore(uuid, to, signal) {
      const call = database.timeTravel.restore(check(UUID, uuid), { account_id, ...to }, { signal })
      const { bookmark, previous_bookmark } = await complete(call, signal)
      return { bookmark: parseBookmark(bookmark), previous: parseBookmark(previous_bookmark) }
    },
    async request(method, path, { signal, query = {}, body }) {
      const segments = path.map((segment) => check(PATH_SEGMENT, segment))
      const call = client[method]<{ result?: unknown }>(`/accounts/${account_id}/${segments.join('/')}`, {
        signal,
        query,
        ...(body && { body: body.bytes, headers: { 'content-type': body.type } }),
      })
      return (await complete(call, signal)).result
    },
  }
}

// The inferred type has the resources below.
function createSdkClient(options: RestApiOptions) {
  return createClient({
    apiToken: options.apiToken,
    // Without these the SDK reads its environment variables.
    ...{ apiKey: null, apiEmail: null, userServiceKey: null, logLevel: 'off' },
    baseURL: options.baseUrl,
    fetch: createApiFetch(options),
    timeout: options.requestTimeout,
    // The SDK would repeat a create whose response was lost. The core decides which calls are repeated.
    maxRetries: 0,
    resources: [BaseDatabase, BaseTimeTravel],
  })
}

/** The response of an SDK call, or the error that its `fetch` threw. */
async function complete<Value>(call: Promise<Value>, signal: AbortSignal): Promise<NonNullable<Value>> {
  const value = await call.catch((error: unknown) => {
    throw unwrapSdkError(error, signal)
  })
  return value ?? throwUndocumented()
}

function parseDatabase(value: unknown, expectedName?: string): DatabaseRef {
  const { uuid, name } = (value ?? {}) as Record<string, unknown>
  if (typeof uuid !== 'string' || typeof name !== 'string' || !UUID.test(uuid)) return throwUndocumented()
  return expectedName === undefined || name === expectedName ? { uuid, name } : throwUndocumented()
}

function toBody(statements: readonly BoundStatement[]): { sql: string; params?: string[] } {
  const [first] = statements
  // The SDK's types allow strings only; the API accepts numbers and null too.
  const body = first !== undefined && statements.length === 1 ? first : { batch: statements }
  return body as { sql: string; params?: string[] }
}

/** One successful result for each statement. */
function parseResults(value: unknown, count: number): { success?: boolean; results?: unknown }[] {
  if (!Array.isArray(value) || value.length !== count) return throwUndocumented()
  return value.some((result) => result?.success === false) ? throwUndocumented() : value
}

function parseBookmark(value: unknown): string {
  return typeof value === 'string' && BOOKMARK.test(value) ? value : throwUndocumented()
}

/** Names and uuids arrive valid; this keeps any other text out of the URL. */
function check(pattern: RegExp, value: string): string {
  if (typeof value === 'string' && pattern.test(value)) return value
  throw new TenancyError('internal', 'A name or uuid does not have the form of one, so no request is sent')
}

function throwUndocumented(): never {
  throw new HttpError(
    CLOUDFLARE_API,
    0,
    `${CLOUDFLARE_API} sent a response that is not in its documented form`,
  )
}

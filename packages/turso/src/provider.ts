import type { Client } from '@libsql/client/web'
import {
  configError,
  createRedactor,
  type Environment,
  type Locator,
  TenancyError,
  type TenantProvider,
} from '@tenantry/multi-tenancy'
import { Kysely } from 'kysely'
import { createPlatformApi, type TursoDatabase } from './api.ts'
import { createTursoClient } from './client.ts'
import { createErrorMap } from './errors.ts'
import { createHostCheck } from './hosts.ts'
import { type Fetch, HttpError } from './http.ts'
import { libsqlKysely } from './kysely.ts'
import { createTokenStore } from './tokens.ts'
import { toBound, toRows } from './values.ts'

/** Whose account, and how to reach it. */
export interface TursoProviderOptions {
  /** The organization's (or personal account's) slug. */
  readonly organizationName: string
  /**
   * A platform token. A group-scoped one with `read`, `db:create`, `db:delete` and `db:mint-token` is enough; it never
   * goes to a database.
   */
  readonly apiToken: string
  /**
   * The group new databases are made in, which decides their place.
   *
   * @default 'default'
   */
  readonly group?: string
  /**
   * How long a database's token is good, as the API takes it: `30m`, `1h`, `1d12h`. It is renewed at 80 % of it.
   *
   * @default '1h'
   */
  readonly tokenLifetime?: string
  /**
   * The hosts databases may be on, `*.` standing for any labels.
   *
   * @default ['*.turso.io']
   */
  readonly allowedHosts?: readonly string[]
  /** @default 'https://api.turso.tech' */
  readonly baseUrl?: string
  /**
   * Milliseconds one request to a database may take.
   *
   * @default 60_000
   */
  readonly requestTimeout?: number
  /** @default globalThis.fetch */
  readonly fetch?: Fetch
  /** Replaces clock, sleep and runtime detection: for tests. */
  readonly environment?: Partial<Environment>
}

const FIRST_DELAY = 100
const MAX_DELAY = 2_000

/**
 * A Turso database per tenant, over HTTP: for Workers, Node and every runtime with `fetch`.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const provider = createTursoProvider({ organizationName: 'acme-inc', apiToken })
 */
export function createTursoProvider(options: TursoProviderOptions): TenantProvider<Client> {
  const { organizationName, apiToken, group = 'default', tokenLifetime = '1h', environment = {} } = options
  const {
    allowedHosts = ['*.turso.io'],
    baseUrl = 'https://api.turso.tech',
    requestTimeout = 60_000,
  } = options
  const { fetch = (input, init) => globalThis.fetch(input, init) } = options
  const workers = globalThis.navigator?.userAgent === 'Cloudflare-Workers'
  const { now = Date.now, sleep = pause, runtime = workers ? 'workers' : 'node' } = environment
  if (!isSlug(organizationName)) throw configError('organizationName', 'must be the slug of an organization')
  if (!isSlug(group)) throw configError('group', 'must be the name of a group')
  if (typeof apiToken !== 'string' || !/^[!-~]{6,}$/.test(apiToken)) {
    throw configError('apiToken', 'must be a platform token')
  }
  if (!(requestTimeout > 0)) throw configError('requestTimeout', 'must be a number of milliseconds')

  const redactor = createRedactor()
  redactor.add(apiToken)
  const errors = createErrorMap(redactor)
  const checkHost = createHostCheck(allowedHosts)
  const api = createPlatformApi({ organizationName, apiToken, group, baseUrl, fetch, checkHost, now })
  const shared = runtime === 'node'
  const tokens = createTokenStore({ api, redactor, lifetime: tokenLifetime, shared, now })
  let closed = false
  const isClosed = (): boolean => closed

  function clientOf(database: TursoDatabase): Client {
    return createTursoClient({ database, tokens, errors, fetch, now, requestTimeout, isClosed })
  }

  /** The locator as it was returned; the host is checked again, for it may come from a store of somebody's. */
  function databaseOf({ name, id, hostname }: Locator): TursoDatabase {
    if (typeof name !== 'string' || typeof id !== 'string') {
      throw new TenancyError('internal', 'The locator is not one of a Turso database')
    }
    return { name, id, hostname: checkHost(hostname) }
  }

  /** Runs `attempt` until it says it is done, or throws. */
  async function poll(attempt: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    for (let delay = FIRST_DELAY; !(await attempt()); delay = Math.min(delay * 2, MAX_DELAY)) {
      await sleep(delay)
      signal.throwIfAborted()
    }
  }

  async function createOrFind(
    name: string,
    signal: AbortSignal,
  ): Promise<{ database: TursoDatabase; created: boolean }> {
    try {
      return { database: await api.create(name, signal), created: true }
    } catch (error) {
      // Taken, or nobody knows: what is there now decides, before anything is sent again.
      if (!isDuplicate(error) && !isAmbiguous(error)) throw error
      const database = await api.get(name, signal)
      if (database !== undefined) return { database, created: false }
      if (!isDuplicate(error)) throw error
      throw new TenancyError('provider_unavailable', 'The name is not available yet', { retryAfter: 2 })
    }
  }

  /** Every error leaves with its code and without secrets. */
  function coded<Arguments extends unknown[], Result>(
    member: (...args: Arguments) => Promise<Result>,
  ): (...args: Arguments) => Promise<Result> {
    return (...args) =>
      member(...args).catch((error: unknown) => {
        throw errors.mapError(error)
      })
  }

  return {
    name: 'turso',
    capabilities: { dialect: 'sqlite', transactions: true, transactionalDdl: true },
    // `{name}-{organization}` is one DNS label: https://github.com/tursodatabase/turso-cli/issues/1013
    naming: { maxLength: 62 - organizationName.length, separator: '-' },

    create: coded(async (name, { signal }) => {
      const { database, created } = await createOrFind(name, signal)
      const client = clientOf(database)
      await poll(async () => {
        try {
          await client.execute('SELECT 1')
          return true
        } catch (cause) {
          const error = errors.mapError(cause)
          if (error.code === 'tenant_not_ready') return false
          if (error.code !== 'tenant_not_found') throw error
          // Deleted meanwhile, or the platform is behind its own answer: the core asks for it again.
          throw new TenancyError('provider_unavailable', 'The new database is not there', { retryAfter: 1 })
        }
      }, signal)
      return { locator: { ...database }, created }
    }),
    find: coded(async (name, { signal }) => {
      const database = await api.get(name, signal)
      return database && { ...database }
    }),
    drop: coded(async (locator, { signal }) => {
      const database = databaseOf(locator)
      tokens.forget(database)
      let deleted = false
      await poll(async () => {
        const current = await api.get(database.name, signal)
        // Gone, or made anew by somebody: then it is theirs.
        if (current?.id !== database.id) return true
        if (!deleted) await api.delete(database.name, signal)
        deleted = true
        return false
      }, signal)
    }),
    list: coded(async ({ prefix, cursor }, { signal }) => {
      const { databases, cursor: next } = await api.list({ prefix, cursor }, signal)
      return {
        databases: databases.map((database) => ({ name: database.name, locator: { ...database } })),
        ...(next === undefined ? {} : { cursor: next }),
      }
    }),

    connect: coded(async ({ locator }, { signal }) => {
      const database = databaseOf(locator)
      await tokens.get(database, signal)
      return clientOf(database)
    }),
    async query(client, { sql, params = [] }) {
      return toRows(await client.execute({ sql, args: params.map(toBound) }))
    },
    async batch(client, statements) {
      const plain = statements.map(({ sql, params = [] }) => ({ sql, args: params.map(toBound) }))
      if (plain.length > 0) await client.batch(plain, 'write')
    },
    kysely: (client) => new Kysely<any>({ dialect: libsqlKysely(client) }),
    mapError: errors.mapError,
    async close() {
      closed = true
    },
  }
}

/**
 * Turso says it in three ways: 409 as documented, 400 as the service answers since 2026-07-30, 422 as its command
 * line expects.
 *
 * @see https://github.com/tursodatabase/turso-docs/issues/409
 */
function isDuplicate(error: unknown): boolean {
  if (!(error instanceof HttpError) || ![400, 409, 422].includes(error.status)) return false
  return /already exists|not available/i.test(error.message)
}

/** Nobody knows whether it was carried out. */
function isAmbiguous(error: unknown): boolean {
  return error instanceof HttpError && (error.status === 0 || error.status === 408 || error.status >= 500)
}

function isSlug(value: unknown): boolean {
  return typeof value === 'string' && /^[a-z0-9](?:[a-z0-9-]{0,59}[a-z0-9])?$/.test(value)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

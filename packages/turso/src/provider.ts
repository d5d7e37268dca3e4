import type { Client } from '@libsql/client/web'
import {
  type ConnectTarget,
  createRedactor,
  explainRefusal,
  type Locator,
  TenancyError,
  type TenantProvider,
} from '@tenantry/multi-tenancy'
import { Kysely } from 'kysely'
import { createTursoClient } from './client/libsql-client.ts'
import { createHostCheck } from './control-plane/allowed-hosts.ts'
import { createPlatformApi, type TursoDatabase } from './control-plane/platform-api.ts'
import { createTokenStore } from './control-plane/tokens.ts'
import { tursoErrors } from './errors.ts'
import { HttpError } from './http.ts'
import { libsqlKysely } from './kysely.ts'
import { toBound, toRows } from './libsql/values.ts'
import { type TursoProviderOptions, tursoSettings } from './options.ts'

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
  const settings = tursoSettings(options)
  const { organizationName, apiToken, group, fetch, tokenLifetime, requestTimeout, environment } = settings
  const { now, sleep, runtime } = environment
  const redactor = createRedactor()
  redactor.keep(apiToken)
  const errors = tursoErrors(redactor)
  const checkHost = createHostCheck(settings.allowedHosts)
  const api = createPlatformApi({ ...settings, checkHost, redactor, now })
  const groups = [...new Set([group, ...settings.groups])]
  const shared = runtime === 'node'
  const tokens = createTokenStore({ api, redactor, lifetime: tokenLifetime, shared, now })
  let closed = false
  const isClosed = (): boolean => closed

  function clientOf(database: TursoDatabase, use: Pick<ConnectTarget, 'admit' | 'lost'> = {}): Client {
    const isShut = (): Promise<boolean> => api.isBlocked(database.name, AbortSignal.timeout(requestTimeout))
    return createTursoClient({
      database,
      tokens,
      errors,
      fetch,
      now,
      requestTimeout,
      isClosed,
      isShut,
      ...use,
    })
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
    place: string,
    signal: AbortSignal,
  ): Promise<{ database: TursoDatabase; created: boolean }> {
    try {
      return { database: await api.create(name, place, signal), created: true }
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
    placements: groups,

    create: coded(async (name, { signal, placement }) => {
      const { database, created } = await createOrFind(name, placement ?? group, signal)
      const client = clientOf(database)
      await poll(async () => {
        try {
          await client.execute('SELECT 1')
          return true
        } catch (cause) {
          const error = errors.mapError(cause)
          if (error.code === 'tenant_not_ready') return false
          // A closed one is there, and answers nobody.
          if (!created && error.code === 'quota_exceeded' && (await api.isBlocked(name, signal))) return true
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
    setAccess: coded(async (locator, access, { signal }) => {
      const database = databaseOf(locator)
      const { name, id } = database
      const current = await api.get(name, signal)
      // Another one of the name is somebody else's to close.
      if (current?.id !== id) throw explainRefusal(undefined)
      await api.block(name, access === 'closed', signal)
      if (access === 'open') return
      // What was handed out, or leaked, is void for good, and not only until the database is opened again.
      await api.rotateTokens(name, signal)
      tokens.forget(database)
    }),
    list: coded(async ({ prefix, cursor: here = `${group}/` }, { signal }) => {
      // Group after group: a list of all would also show what is none of ours.
      const [at = '', cursor] = here.split(/\/(.*)/s)
      if (!groups.includes(at)) throw new TenancyError('invalid_request', 'The cursor is not of this list')
      const { databases, cursor: after } = await api.list(
        { group: at, prefix, cursor: cursor || undefined },
        signal,
      )
      const following = groups[groups.indexOf(at) + 1]
      const next = after !== undefined ? `${at}/${after}` : following && `${following}/`
      return {
        databases: databases.map((database) => ({ name: database.name, locator: { ...database } })),
        ...(next === undefined ? {} : { cursor: next }),
      }
    }),

    connect: coded(async ({ locator, admit, lost = () => {} }, { signal }) => {
      const database = databaseOf(locator)
      await tokens.get(database, signal)
      return clientOf(database, { ...(admit && { admit }), lost })
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

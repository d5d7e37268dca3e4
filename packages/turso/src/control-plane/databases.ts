import {
  classifyConnectionError,
  createOrFind,
  listSources,
  TenancyError,
  type TenantProvider,
} from '@tenantry/multi-tenancy/provider'
import { type TursoDatabase, toLocator } from '../locator.ts'
import { isDuplicate, type PlatformApi } from './platform-api.ts'
import type { TokenStore } from './tokens.ts'

interface CreatedDatabase {
  readonly database: TursoDatabase
  /** False when the database existed. */
  readonly created: boolean
}

/** The lifecycle of tenant databases, on the Platform API. */
export interface TursoDatabases {
  /** Creates a database, or finds the one of that name, and waits until it responds. */
  create(name: string, group: string, signal: AbortSignal): Promise<CreatedDatabase>
  /** Deletes this database and waits until it is gone. One that has its name by now is left alone. */
  drop(database: TursoDatabase, signal: AbortSignal): Promise<void>
  /** @throws `tenant_not_found` when it is gone or another database has its name */
  setAccess(database: TursoDatabase, access: 'open' | 'closed', signal: AbortSignal): Promise<void>
  list(
    query: { readonly prefix: string; readonly cursor?: string | undefined },
    signal: AbortSignal,
  ): ReturnType<TenantProvider<unknown>['list']>
}

export interface TursoDatabasesOptions {
  readonly api: PlatformApi
  readonly tokens: TokenStore
  /** All groups that may hold tenant databases. */
  readonly groups: readonly string[]
  /** Sends one statement to the database. Rejects with a coded error. */
  readonly ping: (database: TursoDatabase) => Promise<void>
  readonly sleep: (ms: number) => Promise<void>
}

const FIRST_DELAY = 100
const MAX_DELAY = 2_000

export function createTursoDatabases(options: TursoDatabasesOptions): TursoDatabases {
  const { api, tokens, groups, ping, sleep } = options

  /** Calls `attempt` until it resolves with `true`, or throws. */
  async function poll(attempt: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    for (let delay = FIRST_DELAY; !(await attempt()); delay = Math.min(delay * 2, MAX_DELAY)) {
      await sleep(delay)
      signal.throwIfAborted()
    }
  }

  /** Whether a database responds, or is closed to everyone. `false` while it is not ready. */
  async function isReady({ database, created }: CreatedDatabase, signal: AbortSignal): Promise<boolean> {
    try {
      await ping(database)
      return true
    } catch (cause) {
      const { code } = TenancyError.from(cause)
      if (code === 'tenant_not_ready') return false
      if (!created && code === 'quota_exceeded' && (await api.isClosed(database.name, signal))) return true
      if (code !== 'tenant_not_found') throw cause
      // Deleted concurrently, or the platform does not know it yet: the core calls `create` again.
      throw new TenancyError('provider_unavailable', `The new database "${database.name}" is not there yet`, {
        retryAfter: 1,
        cause,
      })
    }
  }

  return {
    async create(name, group, signal) {
      const result = await createOrFind({
        create: () => api.create(name, group, signal),
        find: () => api.get(name, signal),
        isDuplicate,
      })
      await poll(() => isReady(result, signal), signal)
      return result
    },
    async drop(database, signal) {
      tokens.forget(database)
      let deleted = false
      await poll(async () => {
        const current = await api.get(database.name, signal)
        if (current?.id !== database.id) return true
        if (!deleted) await api.delete(database.name, signal)
        deleted = true
        return false
      }, signal)
    },
    async setAccess(database, access, signal) {
      const current = await api.get(database.name, signal)
      if (current?.id !== database.id) throw classifyConnectionError(undefined)
      await api.setAccess(database.name, access, signal)
      if (access === 'open') return
      // Tokens that were handed out, or leaked, stay invalid after the database is opened again.
      await api.rotateTokens(database.name, signal)
      tokens.forget(database)
    },
    // Group by group: a list of the whole organization contains databases of other apps.
    list: ({ prefix, cursor }, signal) =>
      listSources(groups, cursor, async (group, position) => {
        const query = { group, prefix, cursor: position || undefined }
        const { databases, cursor: next } = await api.list(query, signal)
        return {
          databases: databases.map((database) => ({ name: database.name, locator: toLocator(database) })),
          next,
        }
      }),
  }
}

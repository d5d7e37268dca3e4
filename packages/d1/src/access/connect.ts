import {
  type ConnectTarget,
  classifyConnectionError,
  type DatabaseStatus,
  type ErrorMap,
  TenancyError,
} from '@tenantry/multi-tenancy'
import type { D1Database } from '../client/d1-database.ts'
import { guardDatabase, type Use } from '../client/guarded-database.ts'
import { type D1Info, type D1TimeTravel, d1Info } from '../client/time-travel.ts'
import type { D1Api, KnownD1 } from '../control-plane/rest-api.ts'
import { isMissingWorker } from '../control-plane/strict-fetch.ts'
import type { D1RestorePoint } from '../options.ts'
import type { Rung } from '../types.ts'

/** Clients of tenants' databases. */
export interface Clients {
  /** @throws `not_supported` when no way of `access` leads to the database */
  connect(database: KnownD1, target: Omit<ConnectTarget, 'locator'>): Promise<D1Database>
  /** Reports a restore point before the migrations run. */
  beforeMigrate(client: D1Database, migrations: readonly string[]): Promise<void>
}

export interface ClientsOptions {
  readonly api: Pick<D1Api, 'exists' | 'bookmark' | 'restore'>
  readonly rungs: readonly Rung[]
  readonly errors: ErrorMap
  readonly onRestorePoint: ((point: D1RestorePoint) => void | Promise<void>) | undefined
  readonly isClosed: () => boolean
  /** Milliseconds. */
  readonly requestTimeout: number
}

export function createClients(options: ClientsOptions): Clients {
  const { api, rungs, errors, onRestorePoint, isClosed, requestTimeout } = options
  const limit = (): AbortSignal => AbortSignal.timeout(requestTimeout)

  function useOf({ uuid }: KnownD1, { beforeUse, onDatabaseGone }: Omit<ConnectTarget, 'locator'>): Use {
    return async (work) => {
      if (isClosed()) throw new TenancyError('closed', 'The provider was closed')
      const admission = beforeUse?.()
      if (admission !== undefined) await admission
      try {
        return await work()
      } catch (error) {
        const found = isMissingWorker(error) ? await find(uuid).catch(() => HERE) : HERE
        throw classifyConnectionError(found, { cause: errors.toClientError(error), onDatabaseGone })
      }
    }
  }

  /** Only the API knows. A uuid never comes back, so what has it is the same database. */
  async function find(uuid: string): Promise<DatabaseStatus | undefined> {
    return (await api.exists(uuid, limit())) ? HERE : undefined
  }

  function timeTravelOf(database: KnownD1, lost: ConnectTarget['onDatabaseGone']): D1TimeTravel {
    const coded = <Value>(work: Promise<Value>): Promise<Value> =>
      work.catch((error: unknown) => {
        throw errors.mapError(error)
      })
    return {
      bookmark: (at) => coded(api.bookmark(database.uuid, at?.toISOString(), limit())),
      async restore(to) {
        if (onRestorePoint !== undefined) {
          const bookmark = await coded(api.bookmark(database.uuid, undefined, limit()))
          await onRestorePoint({ ...database, bookmark, before: 'restore', migrations: [] })
        }
        const target = 'bookmark' in to ? to : { timestamp: to.timestamp.toISOString() }
        const { bookmark, previous } = await coded(api.restore(database.uuid, target, limit()))
        // What was read of it before may not be true any more.
        lost?.()
        return { bookmark, undo: previous }
      },
    }
  }

  return {
    async connect(database, target) {
      const managing = target.purpose === 'manage'
      for (const rung of rungs) {
        const reached = await rung.open(database, managing)
        if (reached === undefined) continue
        return guardDatabase(
          reached,
          useOf(database, target),
          (): D1Info => ({
            ...database,
            access: rung.kind,
            sessions: rung.kind !== 'rest',
            timeTravel: timeTravelOf(database, target.onDatabaseGone),
          }),
        )
      }
      const found = await find(database.uuid)
      const cause = new TenancyError('not_supported', 'No way of `access` leads to the database')
      throw classifyConnectionError(found, { cause })
    },
    async beforeMigrate(client, migrations) {
      const { name, uuid, timeTravel } = d1Info(client)
      const bookmark = await timeTravel.bookmark()
      await onRestorePoint?.({ name, uuid, bookmark, before: 'migrate', migrations })
    },
  }
}

const HERE: DatabaseStatus = { same: true }

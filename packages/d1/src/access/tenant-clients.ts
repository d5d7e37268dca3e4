import {
  type ConnectTarget,
  classifyConnectionError,
  type DatabaseStatus,
  type ErrorMap,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import type { D1Database } from '../client/d1-database.ts'
import { type D1Info, d1Info } from '../client/database-info.ts'
import { type Guard, guardDatabase } from '../client/guarded-database.ts'
import type { RestApi } from '../control-plane/rest-api.ts'
import { createTimeTravel, type TimeTravelOptions } from '../control-plane/time-travel.ts'
import { isWorkerMissing } from '../errors.ts'
import type { DatabaseRef } from '../types.ts'
import type { AccessMethod } from './access-method.ts'

/** Creates the clients of tenants' databases. */
export interface TenantClients {
  /** @throws `not_supported` where none of the access methods reaches the database */
  connect(database: DatabaseRef, target: Omit<ConnectTarget, 'locator'>): Promise<D1Database>
  /** Reports a restore point before the migrations run. */
  beforeMigrate(client: D1Database, migrations: readonly string[]): Promise<void>
}

export interface TenantClientsOptions extends TimeTravelOptions {
  readonly api: Pick<RestApi, 'exists' | 'getBookmark' | 'restore'>
  readonly methods: readonly AccessMethod[]
  readonly errors: ErrorMap
  readonly isClosed: () => boolean
}

export function createTenantClients(options: TenantClientsOptions): TenantClients {
  const { api, methods, errors, onRestorePoint, isClosed, requestTimeout } = options

  /** A uuid is never used again, so a database that has it is the same database. */
  async function findSame(uuid: string): Promise<DatabaseStatus | undefined> {
    return (await api.exists(uuid, AbortSignal.timeout(requestTimeout))) ? SAME_DATABASE : undefined
  }

  function createGuard(
    { uuid }: DatabaseRef,
    { beforeUse, onDatabaseGone }: Omit<ConnectTarget, 'locator'>,
  ): Guard {
    return async (operation) => {
      if (isClosed()) throw new TenancyError('closed', 'The provider was closed')
      const admission = beforeUse?.()
      if (admission !== undefined) await admission
      try {
        return await operation()
      } catch (error) {
        // Only the API knows whether the database of a missing Worker exists.
        const database = isWorkerMissing(error)
          ? await findSame(uuid).catch(() => SAME_DATABASE)
          : SAME_DATABASE
        throw classifyConnectionError(database, { cause: errors.toClientError(error), onDatabaseGone })
      }
    }
  }

  return {
    async connect(database, target) {
      for (const method of methods) {
        const client = await method.open(database, { purpose: target.purpose })
        if (client === undefined) continue
        return guardDatabase(client, {
          guard: createGuard(database, target),
          getInfo: (): D1Info => ({
            ...database,
            access: method.kind,
            sessions: method.kind !== 'rest',
            timeTravel: createTimeTravel(database, options, target.onDatabaseGone),
          }),
          onEnd: target.onDatabaseGone,
        })
      }
      const tried = methods.map(({ kind }) => kind).join(', ')
      const cause = new TenancyError(
        'not_supported',
        `None of the configured access methods (${tried}) reaches this database: add another to \`access\``,
      )
      throw classifyConnectionError(await findSame(database.uuid), { cause })
    },
    async beforeMigrate(client, migrations) {
      const { name, uuid, timeTravel } = d1Info(client)
      const bookmark = await timeTravel.bookmark()
      await onRestorePoint?.({ name, uuid, bookmark, before: 'migrate', migrations })
    },
  }
}

const SAME_DATABASE: DatabaseStatus = { same: true }

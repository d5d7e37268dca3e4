import { TenancyError } from '@tenantry/multi-tenancy/provider'
import type { D1Access, DatabaseRef } from '../types.ts'
import type { D1Database } from './d1-database.ts'
import { getClientInfo } from './guarded-database.ts'

/** A moment to restore to. */
export type D1Moment = { readonly bookmark: string } | { readonly timestamp: Date }

/**
 * D1's own history of one database: 30 days, 7 on the Free plan. It is deleted with the database, so it does not
 * replace a backup.
 *
 * @see https://developers.cloudflare.com/d1/reference/time-travel/
 */
export interface D1TimeTravel {
  /** The current bookmark, or the newest at or before `at`. */
  bookmark(at?: Date): Promise<string>
  /**
   * Restores the database *in place*: every later change is undone, migrations and identity stamp included, and
   * running queries are cancelled. `undo` is the bookmark that undoes the restore.
   *
   * @throws `provider_rejected` for a moment that Time Travel does not reach
   */
  restore(to: D1Moment): Promise<{ bookmark: string; undo: string }>
}

/** The database behind a client. */
export interface D1Info extends DatabaseRef {
  /** The access method that the client uses. */
  readonly access: D1Access['kind']
  /** Whether `withSession` is supported. REST has no sessions. */
  readonly sessions: boolean
  readonly timeTravel: D1TimeTravel
}

/**
 * Describes the database behind a client of this package: its uuid and name, the access method, and its history.
 *
 * @throws `invalid_request` for any other object
 * @example
 * const { undo } = await d1Info(client).timeTravel.restore({ timestamp: new Date(Date.now() - 60_000) })
 */
export function d1Info(client: D1Database): D1Info {
  const info = getClientInfo(client)
  if (info !== undefined) return info as D1Info
  throw new TenancyError(
    'invalid_request',
    'd1Info needs a client that createAdapters received from this provider',
  )
}

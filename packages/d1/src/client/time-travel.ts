import { TenancyError } from '@tenantry/multi-tenancy'
import type { KnownD1 } from '../control-plane/rest-api.ts'
import type { D1Access } from '../types.ts'
import type { D1Database } from './d1-database.ts'
import { aboutOf } from './guarded-database.ts'

/** A moment to go back to. */
export type D1Moment = { readonly bookmark: string } | { readonly timestamp: Date }

/**
 * D1's own history of one database: 30 days, 7 on the Free plan. It is D1's, so it goes with the database: it is no
 * backup against deletion.
 *
 * @see https://developers.cloudflare.com/d1/reference/time-travel/
 */
export interface D1TimeTravel {
  /** The bookmark of now, or the newest at or before `at`. */
  bookmark(at?: Date): Promise<string>
  /**
   * Puts the database back *in place*: everything since is undone for everybody, migrations and identity stamp
   * included, and queries under way are cancelled. `undo` is the bookmark that undoes the restore.
   *
   * @throws `provider_rejected` for a moment out of reach
   */
  restore(to: D1Moment): Promise<{ bookmark: string; undo: string }>
}

/** What is behind a client. */
export interface D1Info extends KnownD1 {
  /** The way it goes. */
  readonly access: D1Access['kind']
  /** Whether `withSession` works. Over REST it does not. */
  readonly sessions: boolean
  readonly timeTravel: D1TimeTravel
}

/**
 * What is behind a client that `createAdapters` got: which database, which way, what that way can do, and the
 * database's history.
 *
 * @throws `invalid_request` for any other object
 * @example
 * const { undo } = await d1Info(client).timeTravel.restore({ timestamp: new Date(Date.now() - 60_000) })
 */
export function d1Info(client: D1Database): D1Info {
  const info = aboutOf(client)
  if (info !== undefined) return info as D1Info
  throw new TenancyError('invalid_request', 'Not a client of this provider')
}

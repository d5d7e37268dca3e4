import type { Context } from 'hono'
import type { Call } from './call.ts'
import type { Databases } from './databases.ts'
import type { Groups } from './groups.ts'
import type { PlatformTokens } from './platform-tokens.ts'
import type { Records } from './records.ts'

/** The dependencies of the Platform API's routes. */
export interface PlatformOptions {
  readonly records: Records
  readonly databases: Databases
  readonly groups: Groups
  readonly tokens: PlatformTokens
  /** The longest page of a list; `undefined` answers the whole list unless the caller sets a limit. */
  readonly pageSize: number | undefined
  readonly now: () => number
}

/** The Hono environment of the routes: the call is the request as the server read it. */
export interface PlatformEnv {
  Bindings: Call
  Variables: {
    /** The JSON body. */
    input: Readonly<Record<string, unknown>>
    /** The only group a group-scoped token may see. */
    pinnedGroup: string | undefined
  }
}

/** Answers one operation. */
export type Route = (c: Context<PlatformEnv>) => Response | Promise<Response>

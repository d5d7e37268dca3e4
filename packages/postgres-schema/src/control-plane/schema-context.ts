import type { Server } from '../connections/server.ts'
import type { Settings } from '../options.ts'

/** What managing the schemas of one database needs. */
export interface SchemaContext {
  readonly server: Server
  readonly settings: Settings
}

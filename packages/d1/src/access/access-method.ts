import type { D1Database } from '../client/d1-database.ts'
import type { D1Access, DatabaseRef } from '../types.ts'

/** An access method of the options, ready for use. */
export interface AccessMethod {
  readonly kind: D1Access['kind']
  /** A client of the database, or `undefined` where this method does not reach it. */
  open(database: DatabaseRef, options: OpenOptions): Promise<D1Database | undefined>
}

export interface OpenOptions {
  /** `manage` also reaches a database whose Worker does not exist. */
  readonly purpose: 'serve' | 'manage'
}

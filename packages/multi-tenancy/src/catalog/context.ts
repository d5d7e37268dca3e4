import type { Kysely } from 'kysely'
import type { Environment } from '../util/environment.ts'
import type { CatalogTables } from './schema.ts'

/** What the statements on the catalog's database need. */
export interface CatalogContext {
  /** Resolves with the database once its tables exist. */
  readonly ready: () => Promise<Kysely<CatalogTables>>
  readonly environment: Environment
}

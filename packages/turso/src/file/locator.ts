import { type Locator, TenancyError } from '@tenantry/multi-tenancy/provider'
import type { DatabaseFile } from './database-paths.ts'

/** What the core stores to find the file again. */
export function toLocator({ name, id }: DatabaseFile): Locator {
  return { name, id }
}

/** @throws `internal` for a locator of another provider */
export function parseLocator({ name, id }: Locator): DatabaseFile {
  if (typeof name === 'string' && typeof id === 'string') return { name, id }
  throw new TenancyError('internal', 'The locator is not that of a database file')
}

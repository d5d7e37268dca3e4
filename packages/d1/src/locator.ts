import { type Locator, TenancyError } from '@tenantry/multi-tenancy/provider'
import type { DatabaseRef } from './types.ts'

export function toLocator({ name, uuid }: DatabaseRef): Locator {
  return { name, uuid }
}

/**
 * The database that a stored locator names. The control plane checks the uuid's form before it becomes part of a URL.
 *
 * @throws `internal` for a locator of another provider
 */
export function parseLocator({ name, uuid }: Locator): DatabaseRef {
  if (typeof name === 'string' && typeof uuid === 'string') return { name, uuid }
  throw new TenancyError('internal', 'The locator is not that of a D1 database: it has no name and uuid')
}

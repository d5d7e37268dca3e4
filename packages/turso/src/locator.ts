import { type Locator, TenancyError } from '@tenantry/multi-tenancy/provider'
import type { HostCheck } from './control-plane/allowed-hosts.ts'
import type { TursoDatabase } from './control-plane/platform-api.ts'

/** What the core stores to find the database again. */
export function toLocator({ name, id, hostname }: TursoDatabase): Locator {
  return { name, id, hostname }
}

/**
 * The database of a stored locator. Its host is checked again, because the store may be writable by others.
 *
 * @throws `internal` for a locator of another provider; `provider_rejected` for a host that is not allowed
 */
export function parseLocator({ name, id, hostname }: Locator, checkHost: HostCheck): TursoDatabase {
  if (typeof name !== 'string' || typeof id !== 'string') {
    throw new TenancyError('internal', 'The locator is not that of a Turso database')
  }
  return { name, id, hostname: checkHost(hostname) }
}

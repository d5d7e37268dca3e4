import { type Locator, TenancyError } from '@tenantry/multi-tenancy/provider'

/** A database as the Platform API describes it. */
export interface TursoDatabase {
  readonly name: string
  /** `DbId`. A database that is created again under the same name has another one. */
  readonly id: string
  /** Checked against `allowedHosts`. Never derived from the name: the rule differs by region and age. */
  readonly hostname: string
}

/** Returns a database's hostname when it is an allowed one, and throws otherwise. */
export type HostCheck = (hostname: unknown) => string

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

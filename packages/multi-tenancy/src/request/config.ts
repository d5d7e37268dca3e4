import type { Context } from 'hono'
import { configError } from '../errors.ts'
import { parseTenantId, reservedSet, type TenantId } from '../tenant-id.ts'
import { checkOptions } from '../util/options.ts'
import type { TenancyOptions } from './options.ts'
import { unresolved } from './resolve.ts'

const TENANCY_OPTIONS = [
  'databaseIsolation', 'accessControl', 'subdomainRouting', 'resolvers', 'reservedTenantIds', 'cacheHeaders',
  'hooks', 'onHookError',
] // biome-ignore format: one list

/** Checks what every middleware checks of its configuration, and reads the reserved ids from it. */
export function checkConfig(config: Partial<TenancyOptions<any>>): ReadonlySet<string> {
  checkOptions(config, '', TENANCY_OPTIONS)
  if (config.cacheHeaders !== undefined && typeof config.cacheHeaders !== 'boolean') {
    throw configError('cacheHeaders', 'must be true or false')
  }
  return reservedSet(config.reservedTenantIds, 'reservedTenantIds')
}

/** The tenant id an earlier middleware put into the request context, checked. */
export function contextTenantId(c: Context, reserved: ReadonlySet<string>): TenantId {
  const id: unknown = c.get('tenant_id')
  if (id === undefined || id === null) throw unresolved()
  return parseTenantId(id, reserved)
}

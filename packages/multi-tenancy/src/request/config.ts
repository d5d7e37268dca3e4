import type { Context } from 'hono'
import { configError } from '../errors.ts'
import { parseTenantId, reservedSet, type TenantId } from '../tenant-id.ts'
import type { ReportError } from '../types/error-report.ts'
import type { TenantFactory } from '../types/tenant-factory.ts'
import { checkFunctions, checkOptions } from '../util/options.ts'
import { createErrorReporter } from '../util/report-error.ts'
import type { TenancyOptions } from './options.ts'
import { unresolved } from './resolve.ts'

const TENANCY_OPTIONS = [
  'databaseIsolation', 'accessControl', 'subdomainRouting', 'resolvers', 'reservedTenantIds', 'cacheHeaders',
  'hooks', 'onError', 'onHookError',
] // biome-ignore format: one list

/** Checks what every middleware checks of its configuration, and reads the reserved ids from it. */
export function checkConfig(config: Partial<TenancyOptions<any>>): ReadonlySet<string> {
  checkOptions(config, '', TENANCY_OPTIONS)
  checkFunctions(config, '', ['onError'])
  if (config.cacheHeaders !== undefined && typeof config.cacheHeaders !== 'boolean') {
    throw configError('cacheHeaders', 'must be true or false')
  }
  return reservedSet(config.reservedTenantIds, 'reservedTenantIds')
}

/** Reports the server faults of requests: to the configuration's own hook, else to that of its factory. */
export function requestErrorReporter({
  onError,
  databaseIsolation,
}: Pick<Partial<TenancyOptions<any>>, 'onError' | 'databaseIsolation'>): ReportError {
  const { reportError } = (databaseIsolation ?? {}) as Partial<TenantFactory>
  return onError === undefined && typeof reportError === 'function'
    ? reportError
    : createErrorReporter(onError)
}

/** The tenant id an earlier middleware put into the request context, checked. */
export function contextTenantId(c: Context, reserved: ReadonlySet<string>): TenantId {
  const id: unknown = c.get('tenant_id')
  if (id === undefined || id === null) throw unresolved()
  return parseTenantId(id, reserved)
}

import type { Context, MiddlewareHandler } from 'hono'
import { configError, notFound, TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { OpenTenant, TenantFactory } from '../types/tenant-factory.ts'
import { keepPrivate } from './cache-headers.ts'
import { checkConfig, contextTenantId, requestErrorReporter } from './config.ts'
import { copyEnv, forwardUpgradeMark } from './copy-env.ts'
import type { DatabaseSource, RequestTenant, TenancyEnv } from './env.ts'
import type { TenancyOptions } from './options.ts'
import { reportFaults } from './report-faults.ts'

/**
 * Gives the request its tenant's database: the adapters of `c.var.tenant_id` as `c.env.data`, and
 * `c.var.tenant`. That id comes from an earlier middleware, ours or the app's own, which also decides who may
 * reach it. `c.env` is replaced by a copy for this request; the shared object is never written to, because
 * Workers and Node hand the same one to requests of other tenants.
 *
 * @throws `config_invalid` while constructing; per request `tenant_unresolved`, `invalid_tenant_id`,
 * `tenant_not_found`, and the coded error of what `getAdapters` threw
 *
 * @example
 * ```ts
 * app.use('*', createDatabaseMiddleware({ databaseIsolation: { getAdapters: factory.getAdapters } }))
 * ```
 */
export function createDatabaseMiddleware<Adapters>(
  config: Pick<
    TenancyOptions<Adapters>,
    'databaseIsolation' | 'reservedTenantIds' | 'cacheHeaders' | 'onError'
  >,
): MiddlewareHandler<TenancyEnv<Adapters>> {
  const reserved = checkConfig(config)
  const open = tenantOpener(config.databaseIsolation)
  const { cacheHeaders = true } = config
  return reportFaults(
    requestErrorReporter(config),
    async (c, begin) => {
      const id = contextTenantId(c, reserved)
      begin('open')
      injectTenant(c, await open(id))
    },
    (c) => {
      forwardUpgradeMark(c)
      if (cacheHeaders) keepPrivate(c)
    },
  )
}

/** A tenant with its adapters, ready for `injectTenant`. */
export interface Opened<Adapters> {
  readonly tenant: RequestTenant
  readonly adapters: Adapters
}

/** Opens tenants through `open` where the source has it, else through `getAdapters`. Errors are coded. */
export function tenantOpener<Adapters>(
  source: DatabaseSource<Adapters>,
): (id: TenantId) => Promise<Opened<Adapters>> {
  const members = source as Partial<TenantFactory<Adapters>> | null | undefined
  if (typeof members !== 'object' || members === null) throw configError('databaseIsolation', 'is missing')
  for (const name of ['getAdapters', 'onProvision', 'onDeprovision', 'provision', 'deprovision', 'open']) {
    const member: unknown = (members as Record<string, unknown>)[name]
    if (typeof member === 'function' || (member === undefined && name !== 'getAdapters')) continue
    throw configError(`databaseIsolation.${name}`, 'must be a function')
  }
  const factory = typeof members.open === 'function' ? (members as TenantFactory<Adapters>) : undefined
  return async (id) => {
    try {
      const opened = factory ? await factory.open(id) : { id, adapters: await source.getAdapters(id) }
      return checkOpened(opened, id)
    } catch (cause) {
      const error = TenancyError.from(cause)
      throw error.code === 'tenant_not_found' ? notFound(id, error) : error
    }
  }
}

/** Puts an opened tenant into the request. */
export function injectTenant<Adapters>(c: Context, { tenant, adapters }: Opened<Adapters>): void {
  c.env = copyEnv(c.env, adapters)
  c.set('tenant_id', tenant.id)
  c.set('tenant', tenant)
}

function checkOpened<Adapters>(
  opened: Pick<OpenTenant<Adapters>, 'id' | 'adapters'> & Partial<OpenTenant<Adapters>>,
  tenantId: TenantId,
): Opened<Adapters> {
  const { id, state = 'active', generation, adapters } = opened ?? {}
  if (id !== tenantId) throw new TenancyError('wrong_tenant', 'Another tenant was opened', { tenantId })
  if (adapters === undefined || adapters === null)
    throw new TenancyError('internal', 'getAdapters returned nothing for this tenant', { tenantId })
  return { tenant: generation === undefined ? { id, state } : { id, state, generation }, adapters }
}

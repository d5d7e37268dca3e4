import type { Kysely } from 'kysely'
import { connectVerified, toTenant } from '../database/connect.ts'
import { defineMigrations, migrate } from '../database/migrations/index.ts'
import { nameTenants } from '../database/names.ts'
import { deprovisionTenant, provisionTenant, type Step } from '../database/steps.ts'
import { notFound, TenancyError } from '../errors.ts'
import { parseTenantId, reservedSet, type TenantId } from '../tenant-id.ts'
import type { ErrorContext } from '../types/error-report.ts'
import type { LocatedDatabase } from '../types/locate.ts'
import type { CallOptions, TenantProvider } from '../types/provider.ts'
import type { OpenTenant, Tenant, TenantFactory } from '../types/tenant-factory.ts'
import { createCache } from '../util/cache.ts'
import { createEnvironment } from '../util/environment.ts'
import { createErrorReporter } from '../util/report-error.ts'
import type { RetryOptions } from '../util/retry.ts'
import { retryCall } from '../util/retry-call.ts'
import { createSingleFlight } from '../util/single-flight.ts'
import { checkFactoryOptions } from './check.ts'
import type { CatalogBinding, FactoryContext } from './context.ts'
import { createNameLocator } from './lookup.ts'
import {
  type AdapterBuilder,
  type FactoryOptions,
  parseCacheOptions,
  requirePositive,
  type TenantOptions,
} from './options.ts'

/** A tenant as it was opened, with what was known of its database then. */
interface View<Adapters> {
  readonly tenant: OpenTenant<Adapters>
  readonly database: LocatedDatabase
}

/** A provider, or what makes one: called once the names of all options were found right. */
export type ProviderSource<Client> = TenantProvider<Client> | ((host: ProviderHost) => TenantProvider<Client>)

/** What a factory offers the provider it makes. */
export interface ProviderHost {
  /** Reports an error that no caller waits for, such as that of an idle connection, to the factory's `onError`. */
  reportError(cause: unknown, context: ErrorContext): void
}

/**
 * Turns a provider into the factory an app uses: ids checked, names derived, tenants opened once, their
 * identity verified, migrations and seeds run, errors coded, what is safe retried.
 *
 * @example
 * const factory = defineFactory(createMemoryProvider(), { migrations })
 * await factory.provision('acme')
 * const { db } = await factory.getAdapters('acme')
 *
 * @param own the names of the provider's own options, where they come in one object with the factory's
 * @throws `config_invalid`, naming the option; also for one that nobody has
 */
export function defineFactory<Client>(provider: ProviderSource<Client>): TenantFactory<{ db: Kysely<any> }>
export function defineFactory<Client, Adapters = { db: Kysely<any> }>(
  provider: ProviderSource<Client>,
  options: FactoryOptions<Client, Adapters>,
  own?: Readonly<Record<string, true>>,
): TenantFactory<Adapters>
export function defineFactory<Client, Adapters>(
  source: ProviderSource<Client>,
  options: TenantOptions<Adapters> & {
    readonly createAdapters?: AdapterBuilder<Client, Adapters>['createAdapters'] | undefined
  } = {},
  own: Readonly<Record<string, true>> = {},
): TenantFactory<Adapters> {
  checkFactoryOptions(options, own)
  const host: ProviderHost = { reportError: (cause, context) => reportError(cause, context) }
  const provider = typeof source === 'function' ? source(host) : source
  const reportError = createErrorReporter(options.onError, provider.mapError)
  const prefix = options.databasePrefix ?? `tenant${provider.naming.separator}`
  const {
    // `FactoryOptions` lets it be left out only where this is of the type.
    createAdapters = (client: Client) => ({ db: provider.kysely(client) }) as Adapters,
    seed,
    openTimeout = 10_000,
    stepTimeout = 120_000,
  } = options
  const environment = createEnvironment(options.environment)
  const cache = parseCacheOptions(options.cache)
  const reserved = reservedSet(options.reservedTenantIds, 'reservedTenantIds')
  const migrations = options.migrations && defineMigrations(options.migrations)
  const nameTenant = nameTenants(provider.naming, prefix)
  const { mapError } = provider
  const patient = {
    timeout: requirePositive('stepTimeout', stepTimeout),
    mapError,
    // The client of a step never finds another incarnation of its database, however often it tries.
    final: 'stale_tenant',
  } as const
  // A request does not wait for a tenant that is being made: the client is told when to come back.
  const brief = {
    timeout: requirePositive('openTimeout', openTimeout),
    mapError,
    step: 'open',
    final: 'tenant_not_ready',
  } as const

  const shared = environment.runtime === 'node'
  const opened = createCache<View<Adapters>>(shared ? cache.max : 0, cache.ttl, environment.now)
  const openings = createSingleFlight<OpenTenant<Adapters>>(shared)
  const provisions = createSingleFlight<void>(shared)
  /** The newest incarnation of each tenant that was found to be another's. */
  const quarantined = new Map<TenantId, number>()
  const deleting = new Set<TenantId>()
  let closed = false

  function forget(tenantId: TenantId): void {
    opened.delete(tenantId)
    openings.forget(tenantId)
    directory.forget(tenantId)
  }

  /** Asked before each use of a client, so that one held for long obeys what happened meanwhile. */
  function admit(tenantId: TenantId, database: LocatedDatabase): void | Promise<void> {
    if (closed) throw new TenancyError('closed', 'The factory is closed')
    assertServable(tenantId, database)
    return directory.beforeUse?.(tenantId, database)
  }

  function assertServable(tenantId: TenantId, { generation }: { readonly generation: number }): void {
    if ((quarantined.get(tenantId) ?? 0) >= generation) {
      throw new TenancyError('wrong_tenant', 'The tenant is in quarantine', { tenantId })
    }
    if (deleting.has(tenantId)) throw notFound(tenantId)
  }

  /** Called when a client finds its database gone, or not its own; also long after it was opened. */
  function trouble(
    tenantId: TenantId,
    { generation }: { readonly generation: number },
  ): (error?: TenancyError) => void {
    return (error) => {
      const known = quarantined.get(tenantId) ?? 0
      if (error?.code === 'wrong_tenant') quarantined.set(tenantId, Math.max(known, generation))
      forget(tenantId)
    }
  }

  function parse(value: unknown): TenantId {
    if (closed) throw new TenancyError('closed', 'The factory is closed')
    return parseTenantId(value, reserved)
  }

  function onRetry(tenantId: TenantId, operation: string): RetryOptions['onRetry'] {
    return (error, retry) => reportError(error, { operation, tenantId, retry })
  }

  /** Reports the failure of an operation that may have been called by no request. */
  async function reported<Value>(
    operation: string,
    tenantId: TenantId,
    work: () => Promise<Value>,
  ): Promise<Value> {
    try {
      return await work()
    } catch (cause) {
      const error = mapError(cause)
      reportError(error, { operation, tenantId })
      throw error
    }
  }

  function steps(tenantId: TenantId): Step {
    return (step, work) =>
      retryCall(environment, { ...patient, step, tenantId, onRetry: onRetry(tenantId, step) }, work)
  }

  async function openNow(
    tenantId: TenantId,
    current: () => boolean,
    call: CallOptions,
  ): Promise<OpenTenant<Adapters>> {
    const database = await directory.locate(tenantId, call)
    assertServable(tenantId, database)
    // Where only the age of what was known was in doubt, the view is still good.
    const kept = opened.get(tenantId)
    if (kept && directory.isCurrent?.(tenantId, kept.database)) return kept.tenant
    const client = await connectVerified(
      provider,
      tenantId,
      database,
      'serve',
      trouble(tenantId, database),
      call,
      () => admit(tenantId, database),
    ).catch((error: unknown) => {
      directory.forget(tenantId)
      throw error
    })
    const about = toTenant(tenantId, database)
    const { state = 'active' } = database
    const adapters = await build(client, about)
    if (adapters === undefined || adapters === null)
      throw new TenancyError('internal', 'createAdapters returned nothing', { tenantId })
    const tenant: OpenTenant<Adapters> = Object.freeze({ ...about, state, adapters })
    if (current() && !closed) opened.set(tenantId, { tenant, database })
    return tenant
  }

  async function build(client: Client, tenant: Tenant): Promise<Adapters> {
    try {
      return await createAdapters(client, tenant)
    } catch (cause) {
      throw adapterError(cause)
    }
  }

  /** A mistake in the app's own code is not the provider's to name; a connection it lost may come back. */
  function adapterError(cause: unknown): TenancyError {
    const error = mapError(cause)
    if (cause instanceof TenancyError || error.retryable) return error
    return new TenancyError('internal', `createAdapters: ${error.detail}`, { cause: error.cause })
  }

  function opening(value: string): Promise<OpenTenant<Adapters>> {
    const tenantId = parse(value)
    // Without a catalog there is one incarnation, and no need to look it up.
    if (lifecycle === undefined) assertServable(tenantId, { generation: 1 })
    return openings.run(tenantId, (current) =>
      retryCall(environment, { ...brief, tenantId, onRetry: onRetry(tenantId, 'open') }, (call) =>
        openNow(tenantId, current, call),
      ),
    )
  }

  async function open(tenantId: string, generation?: number): Promise<OpenTenant<Adapters>> {
    const warm = opened.get(tenantId)
    const fresh = warm && !closed && (directory.isCurrent?.(warm.tenant.id, warm.database) ?? true)
    const tenant = fresh ? warm.tenant : await opening(tenantId)
    if ((generation ?? tenant.generation) !== tenant.generation) throw notFound(tenantId)
    return tenant
  }

  const core: FactoryContext<Client, Adapters> = {
    provider,
    migrations,
    createAdapters,
    seed,
    environment,
    prefix,
    nameTenant,
    parse,
    steps,
    onIdentityMismatch: trouble,
    forget,
    cache,
    reportError,
  }
  const {
    locator: directory,
    lifecycle,
    createTenantsApi,
  }: CatalogBinding = options.catalog?.attach(core) ?? {
    locator: createNameLocator(core),
  }

  return {
    open,
    lifecycle,
    createTenantsApi,
    async getAdapters(tenantId) {
      return (await open(tenantId)).adapters
    },
    async provision(tenantId) {
      const id = parse(tenantId)
      if (lifecycle !== undefined)
        return void (await reported('provision', id, () => lifecycle.provision(id)))
      if (deleting.has(id))
        throw new TenancyError('conflict', 'The tenant is being deleted', { tenantId: id })
      await provisions.run(id, () =>
        reported('provision', id, async () => {
          const database = await provisionTenant(core, id, await nameTenant(id))
          // What was opened before may be of an earlier incarnation.
          forget(id)
          directory.remember(id, database)
        }),
      )
    },
    async deprovision(tenantId) {
      const id = parse(tenantId)
      if (lifecycle !== undefined)
        return void (await reported('deprovision', id, () => lifecycle.deprovision(id)))
      if (deleting.has(id))
        throw new TenancyError('conflict', 'The tenant is being deleted', { tenantId: id })
      deleting.add(id)
      try {
        await provisions.settled(id)
        forget(id)
        await reported('deprovision', id, async () =>
          deprovisionTenant(provider, id, await nameTenant(id), steps(id)),
        )
        forget(id)
        quarantined.delete(id)
      } finally {
        deleting.delete(id)
      }
    },
    async migrate(tenantId) {
      const id = parse(tenantId)
      if (lifecycle !== undefined) return reported('migrate', id, () => lifecycle.migrate(id))
      if (migrations === undefined) return []
      const step = steps(id)
      return reported('migrate', id, async () => {
        const client = await step('connect', async (call) => {
          const database = await directory.locate(id, call)
          return connectVerified(provider, id, database, 'manage', trouble(id, database), call)
        })
        return step('migrate', ({ signal }) =>
          migrate({ provider, client, migrations, tenantId: id, signal }),
        )
      })
    },
    release(tenantId) {
      const id = parse(tenantId)
      quarantined.delete(id)
      forget(id)
    },
    reportError,
    async close() {
      closed = true
      opened.clear()
      await provider.close()
    },
  }
}

import { connectVerified, toTenant } from '../database/connect.ts'
import { notFound, TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Identity } from '../types/identity.ts'
import type { CacheOptions, LocatedDatabase, TenantLocator } from '../types/locate.ts'
import type { CallOptions, TenantProvider } from '../types/provider.ts'
import type { OpenTenant, Tenant } from '../types/tenant-factory.ts'
import { createCache } from '../util/cache.ts'
import type { RetryOptions } from '../util/retry.ts'
import { retryCall } from '../util/retry-call.ts'
import { createSingleFlight } from '../util/single-flight.ts'
import type { FactoryContext } from './context.ts'
import { createServingGuard, type ServingGuard } from './serving-guard.ts'

/** Opens tenants for requests: locates, connects, builds the adapters, and caches them. */
export interface TenantOpener<Adapters>
  extends Pick<ServingGuard, 'beginDeletion' | 'endDeletion' | 'assertNotDeleting' | 'liftQuarantine'> {
  /** @param generation the only incarnation to open; any other is `tenant_not_found` */
  open(tenantId: string, generation?: number): Promise<OpenTenant<Adapters>>
  /** Sets where tenants are located; called once, before the first use. A locator needs the opener's callbacks. */
  useLocator(locator: TenantLocator): void
  locate: TenantLocator['locate']
  remember: TenantLocator['remember']
  /** Drops the cached adapters. Callers that wait for an opening under way still receive its result. */
  forget(tenantId: TenantId): void
  /** Returns the callback for a connection that found its database gone, or stamped otherwise: then quarantines. */
  onIdentityMismatch(
    tenantId: TenantId,
    incarnation: { readonly generation: number },
  ): (error?: TenancyError) => void
  close(): void
}

export interface TenantOpenerOptions<Client, Adapters> {
  readonly context: Omit<FactoryContext<Client, Adapters>, 'onIdentityMismatch' | 'forget'>
  readonly hasCatalog: boolean
  readonly cache: Pick<Required<CacheOptions>, 'max' | 'ttl'>
  /** Milliseconds a request waits for its tenant to open, retries included. */
  readonly openTimeout: number
  readonly isClosed: () => boolean
}

interface CacheEntry<Adapters> {
  readonly tenant: OpenTenant<Adapters>
  readonly database: LocatedDatabase
}

export function createTenantOpener<Client, Adapters>({
  context,
  hasCatalog,
  cache,
  openTimeout,
  isClosed,
}: TenantOpenerOptions<Client, Adapters>): TenantOpener<Adapters> {
  const { environment, provider, parse, reportError } = context
  const isShared = environment.runtime === 'node'
  const entries = createCache<CacheEntry<Adapters>>(isShared ? cache.max : 0, cache.ttl, environment.now)
  const openings = createSingleFlight<OpenTenant<Adapters>>({ isShared })
  const guard = createServingGuard()
  let locator: TenantLocator
  const retryOptions = {
    timeout: openTimeout,
    mapError: provider.mapError,
    step: 'open',
    final: 'tenant_not_ready', // A request does not wait for provisioning: the client receives `Retry-After`.
  } as const

  const onRetry = (tenantId: TenantId): RetryOptions['onRetry'] => {
    return (error, retry) => reportError(error, { operation: 'open', tenantId, retry })
  }

  function forget(tenantId: TenantId): void {
    entries.delete(tenantId)
    openings.forget(tenantId)
    locator.forget(tenantId)
  }

  const onIdentityMismatch: TenantOpener<Adapters>['onIdentityMismatch'] = (tenantId, { generation }) => {
    return (error) => {
      if (error?.code === 'wrong_tenant') guard.quarantine(tenantId, generation)
      forget(tenantId)
    }
  }

  const connect = createServingConnector({
    provider,
    locator: () => locator,
    onIdentityMismatch,
    /** Called before each use of a client, so that one that is held for long obeys later changes. */
    beforeUse(tenantId, database) {
      if (isClosed()) throw new TenancyError('closed', 'The factory was closed', { tenantId })
      guard.assertServable(tenantId, database)
      return locator.beforeUse?.(tenantId, database)
    },
  })

  async function openNow(
    tenantId: TenantId,
    isCurrent: () => boolean,
    call: CallOptions,
  ): Promise<OpenTenant<Adapters>> {
    const database = await locator.locate(tenantId, call)
    guard.assertServable(tenantId, database)
    const cached = entries.get(tenantId)
    if (cached && locator.isCurrent?.(tenantId, cached.database)) return cached.tenant
    const client = await connect(tenantId, database, call)
    const tenant = toTenant({ id: tenantId, generation: database.generation })
    const adapters = await buildAdapters(context, client, tenant)
    const opened: OpenTenant<Adapters> = Object.freeze({
      ...tenant,
      state: database.state ?? 'active',
      adapters,
    })
    if (isCurrent() && !isClosed()) entries.set(tenantId, { tenant: opened, database })
    return opened
  }

  function openOnce(value: string): Promise<OpenTenant<Adapters>> {
    const tenantId = parse(value)
    // Without a catalog there is one incarnation, so nothing needs to be looked up before this check.
    if (!hasCatalog) guard.assertServable(tenantId, { generation: 1 })
    return openings.run(tenantId, (isCurrent) =>
      retryCall(environment, { ...retryOptions, tenantId, onRetry: onRetry(tenantId) }, (call) =>
        openNow(tenantId, isCurrent, call),
      ),
    )
  }

  return {
    async open(tenantId, generation) {
      const entry = entries.get(tenantId)
      const isUsable = entry && !isClosed() && (locator.isCurrent?.(entry.tenant.id, entry.database) ?? true)
      const tenant = isUsable ? entry.tenant : await openOnce(tenantId)
      if ((generation ?? tenant.generation) !== tenant.generation) throw notFound(tenantId)
      return tenant
    },
    useLocator(value) {
      locator = value
    },
    locate: (tenantId, call) => locator.locate(tenantId, call),
    remember: (tenantId, database) => locator.remember(tenantId, database),
    forget,
    onIdentityMismatch,
    ...guard,
    close: entries.clear,
  }
}

/** @throws the error of the app's own code as `internal`; a lost connection as the provider's error, which is retried */
async function buildAdapters<Client, Adapters>(
  { provider, createAdapters }: Pick<FactoryContext<Client, Adapters>, 'provider' | 'createAdapters'>,
  client: Client,
  tenant: Tenant,
): Promise<Adapters> {
  let adapters: Adapters
  try {
    adapters = await createAdapters(client, tenant)
  } catch (cause) {
    const error = provider.mapError(cause)
    if (cause instanceof TenancyError || error.retryable) throw error
    throw new TenancyError('internal', `createAdapters: ${error.detail}`, { cause: error.cause })
  }
  if (adapters !== undefined && adapters !== null) return adapters
  throw new TenancyError('internal', 'createAdapters returned nothing', { tenantId: tenant.id })
}

interface ServingConnectorOptions<Client> {
  readonly provider: TenantProvider<Client>
  readonly locator: () => TenantLocator
  readonly onIdentityMismatch: TenantOpener<unknown>['onIdentityMismatch']
  readonly beforeUse: (tenantId: TenantId, database: LocatedDatabase) => void | Promise<void>
}

/** Connects to located databases for requests. */
function createServingConnector<Client>({
  provider,
  locator,
  onIdentityMismatch,
  beforeUse,
}: ServingConnectorOptions<Client>): (
  tenantId: TenantId,
  database: LocatedDatabase,
  call: CallOptions,
) => Promise<Client> {
  /** The identity of databases whose stamp was read: on Workers each request connects, but checks the stamp only once. */
  const verified = new WeakMap<LocatedDatabase, Identity>()
  return async (tenantId, database, call) => {
    const known = verified.get(database)
    const options = {
      provider,
      tenantId,
      database: known === undefined ? database : { ...database, identity: known },
      purpose: 'serve',
      onIdentityMismatch: onIdentityMismatch(tenantId, database),
      beforeUse: () => beforeUse(tenantId, database),
      isVerified: known !== undefined,
    } as const
    try {
      const { client, identity } = await connectVerified(options, call)
      if (identity !== undefined) verified.set(database, identity)
      return client
    } catch (error) {
      locator().forget(tenantId)
      throw error
    }
  }
}

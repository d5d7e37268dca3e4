import type { Kysely } from 'kysely'
import type { RunStep } from '../database/context.ts'
import { defineMigrations } from '../database/migrations/index.ts'
import { nameTenants } from '../database/names.ts'
import { toLocatedDatabase } from '../database/session.ts'
import { TenancyError } from '../errors.ts'
import { parseTenantId, reservedSet, type TenantId } from '../tenant-id.ts'
import type { ReportError } from '../types/error-report.ts'
import type { TenantProvider } from '../types/provider.ts'
import type { TenantFactory } from '../types/tenant-factory.ts'
import { createEnvironment } from '../util/environment.ts'
import { createErrorReporter } from '../util/report-error.ts'
import type { RetryOptions } from '../util/retry.ts'
import { retryCall } from '../util/retry-call.ts'
import { createSingleFlight } from '../util/single-flight.ts'
import { checkFactoryOptions } from './check.ts'
import type { FactoryContext } from './context.ts'
import { createNameLocator } from './locate-by-name.ts'
import { createTenantOpener, type TenantOpener } from './open-tenants.ts'
import {
  type AdapterBuilder,
  type FactoryOptions,
  parseCacheOptions,
  requirePositive,
  type TenantOptions,
} from './options.ts'
import { runPlan, unrecordedTarget } from './run-plan.ts'

/** A provider, or a function that creates it: called once the names of all options have been checked. */
export type ProviderSource<Client> = TenantProvider<Client> | ((host: ProviderHost) => TenantProvider<Client>)

/** What a factory offers to the provider that it creates. */
export interface ProviderHost {
  /** Reports an error that no caller waits for, such as that of an idle connection, to the factory's `onError`. */
  reportError: ReportError
}

/**
 * Turns a provider into the factory that an app uses: it checks ids, derives names, opens each tenant once, verifies its
 * identity, runs migrations and seeds, gives errors their codes, and retries calls that are safe to repeat.
 *
 * @example
 * const factory = defineFactory(createMemoryProvider(), { migrations })
 * await factory.provision('acme')
 * const { db } = await factory.getAdapters('acme')
 *
 * @param own the names of the provider's own options, where they come in one object with the factory's
 * @throws `config_invalid`, naming the option; also for an unknown option
 */
export function defineFactory<Client>(provider: ProviderSource<Client>): TenantFactory<{ db: Kysely<any> }>
export function defineFactory<Client, Adapters = { db: Kysely<any> }>(
  provider: ProviderSource<Client>,
  options: FactoryOptions<Client, Adapters>,
  own?: Readonly<Record<string, true>>,
): TenantFactory<Adapters>
export function defineFactory<Client, Adapters>(
  source: ProviderSource<Client>,
  options: AnyFactoryOptions<Client, Adapters> = {},
  own: Readonly<Record<string, true>> = {},
): TenantFactory<Adapters> {
  checkFactoryOptions(options, own)
  const host: ProviderHost = { reportError: (cause, context) => reportError(cause, context) }
  const provider = typeof source === 'function' ? source(host) : source
  const report = createErrorReporter(options.onError, provider.mapError)
  let closed = false
  const reportError: ReportError = (cause, context) => {
    // Work that `close()` interrupts has not failed.
    if (!closed || provider.mapError(cause).code !== 'closed') report(cause, context)
  }
  const { context, opener } = createFactoryParts(provider, options, { reportError, isClosed: () => closed })
  const binding = options.catalog?.attach(context)
  opener.useLocator(binding?.locator ?? createNameLocator(context))
  const manager = binding === undefined ? manageInline(context, opener) : binding.lifecycle

  /** Reports the failure of an operation, which no request may wait for. */
  async function runReported<Value>(
    operation: string,
    tenantId: TenantId,
    work: () => Promise<Value>,
  ): Promise<Value> {
    try {
      return await work()
    } catch (cause) {
      const error = provider.mapError(cause)
      reportError(error, { operation, tenantId })
      throw error
    }
  }

  return {
    open: opener.open,
    lifecycle: binding?.lifecycle,
    createTenantsApi: binding?.createTenantsApi,
    async getAdapters(tenantId) {
      return (await opener.open(tenantId)).adapters
    },
    async provision(tenantId) {
      const id = context.parse(tenantId)
      await runReported('provision', id, async () => manager.provision(id))
    },
    async deprovision(tenantId) {
      const id = context.parse(tenantId)
      await runReported('deprovision', id, async () => manager.deprovision(id))
    },
    async migrate(tenantId) {
      const id = context.parse(tenantId)
      return runReported('migrate', id, () => manager.migrate(id))
    },
    reportError,
    release(tenantId) {
      const id = context.parse(tenantId)
      opener.liftQuarantine(id)
      opener.forget(id)
    },
    async close() {
      closed = true
      opener.close()
      await provider.close()
    },
  }
}

type AnyFactoryOptions<Client, Adapters> = TenantOptions<Adapters> & {
  readonly createAdapters?: AdapterBuilder<Client, Adapters>['createAdapters'] | undefined
}

interface FactoryParts<Client, Adapters> {
  readonly context: FactoryContext<Client, Adapters>
  readonly opener: TenantOpener<Adapters>
}

/** The checked options as the context that all parts of the factory share, and the opener that serves requests. */
function createFactoryParts<Client, Adapters>(
  provider: TenantProvider<Client>,
  options: AnyFactoryOptions<Client, Adapters>,
  { reportError, isClosed }: { readonly reportError: ReportError; readonly isClosed: () => boolean },
): FactoryParts<Client, Adapters> {
  const { openTimeout = 10_000, stepTimeout = 120_000 } = options
  const prefix = options.databasePrefix ?? `tenant${provider.naming.separator}`
  const environment = createEnvironment(options.environment)
  const cache = parseCacheOptions(options.cache)
  const reserved = reservedSet(options.reservedTenantIds, 'reservedTenantIds')
  const { mapError } = provider
  const stepOptions = {
    timeout: requirePositive('stepTimeout', stepTimeout),
    mapError,
    // `stale_tenant` is not retried: the same client cannot recover.
    final: 'stale_tenant',
  } as const

  const shared = {
    provider,
    migrations: options.migrations && defineMigrations(options.migrations),
    // `FactoryOptions` allows leaving it out only where the adapters have this type.
    createAdapters:
      options.createAdapters ?? ((client: Client) => ({ db: provider.kysely(client) }) as Adapters),
    seed: options.seed,
    environment,
    reportError,
    now: environment.now,
    prefix,
    nameTenant: nameTenants(provider.naming, prefix),
    cache,
    parse(value: unknown): TenantId {
      if (isClosed()) throw new TenancyError('closed', 'The factory was closed')
      return parseTenantId(value, reserved)
    },
    steps(tenantId: TenantId): RunStep {
      return (step, work) => {
        const onRetry: RetryOptions['onRetry'] = (error, retry) =>
          reportError(error, { operation: step, tenantId, retry })
        return retryCall(environment, { ...stepOptions, step, tenantId, onRetry }, work)
      }
    },
  }
  const opener = createTenantOpener<Client, Adapters>({
    context: shared,
    hasCatalog: options.catalog !== undefined,
    cache,
    openTimeout: requirePositive('openTimeout', openTimeout),
    isClosed,
  })
  const { forget, onIdentityMismatch } = opener
  return { context: { ...shared, forget, onIdentityMismatch }, opener }
}

/** The life of a tenant without a catalog: the same plans, run inline and recorded nowhere. */
interface InlineManager {
  provision(tenantId: TenantId): Promise<void>
  deprovision(tenantId: TenantId): Promise<void>
  migrate(tenantId: TenantId): Promise<readonly string[]>
}

function manageInline<Client, Adapters>(
  context: FactoryContext<Client, Adapters>,
  opener: TenantOpener<Adapters>,
): InlineManager {
  const { nameTenant, steps, environment } = context
  const provisions = createSingleFlight<void>({ isShared: environment.runtime === 'node' })
  return {
    async provision(id) {
      opener.assertNotDeleting(id)
      await provisions.run(id, async () => {
        const { target } = await runPlan(context, 'provision', unrecordedTarget(id, await nameTenant(id)))
        // Cached adapters may belong to an earlier incarnation.
        opener.forget(id)
        opener.remember(id, toLocatedDatabase(target))
      })
    },
    async deprovision(id) {
      opener.beginDeletion(id)
      try {
        await provisions.settled(id)
        opener.forget(id)
        await runPlan(context, 'destroy', unrecordedTarget(id, await nameTenant(id)))
        opener.forget(id)
        opener.liftQuarantine(id)
      } finally {
        opener.endDeletion(id)
      }
    },
    async migrate(id) {
      if (context.migrations === undefined) return []
      const database = await steps(id)('connect', (call) => opener.locate(id, call))
      const target = unrecordedTarget(id, await nameTenant(id), database.locator)
      const { details } = await runPlan(context, 'migrate', target)
      return JSON.parse(details.get('migrate') ?? '[]')
    },
  }
}

import { createTenantsApi } from './api/app.ts'
import { type CatalogDatabase, openCatalogDatabase } from './catalog/connection.ts'
import { createFindingStore } from './catalog/findings.ts'
import { createOperationStore } from './catalog/operations.ts'
import { createTenantStore } from './catalog/tenants.ts'
import { configError } from './errors.ts'
import type { Catalog, FactoryContext } from './factory/context.ts'
import { createCatalogLocator, type StateOptions } from './factory/locate-in-catalog.ts'
import { requirePositive } from './factory/options.ts'
import { createLifecycle } from './lifecycle/lifecycle.ts'
import { createOperations } from './lifecycle/operations.ts'
import { createReconciler } from './lifecycle/reconcile.ts'
import { createRunner } from './lifecycle/runner.ts'
import type { OperationHooks } from './types/lifecycle.ts'
import { checkOptions } from './util/options.ts'

export interface CatalogOptions extends CatalogDatabase, StateOptions {
  /**
   * Milliseconds a deleted tenant's database is kept and can be undeleted. 0 destroys it immediately.
   *
   * @default 2_592_000_000 (30 days)
   */
  readonly retention?: number
  /**
   * Milliseconds after which another process takes an operation over whose runner has not renewed its lease. The clocks
   * of the processes must differ by less.
   *
   * @default 60_000
   */
  readonly leaseTtl?: number
  /**
   * Milliseconds a call waits for the same operation in another process.
   *
   * @default 120_000
   */
  readonly waitTimeout?: number
  /**
   * Hands operations to another process, which calls `lifecycle.run(operationId, { step, owner })`: for a durable engine
   * such as Cloudflare Workflows. Resolves once the engine has accepted the operation.
   *
   * @default operations run in the calling process
   */
  readonly executor?: (operationId: string) => Promise<void>
}

const OPTIONS = [
  'db', 'dialect', 'transactions', 'stateTtl', 'stateMaxAge', 'retention', 'leaseTtl', 'waitTimeout', 'executor',
] // biome-ignore format: one list

/**
 * The record of all tenants, in a database of its own, through Kysely. A factory with a catalog records every step of a
 * tenant's life: `factory.lifecycle` has the operations, `multiTenancy.app` serves them over HTTP.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * ```ts
 * const catalog = createCatalog({ db: new Kysely({ dialect }), dialect: 'postgres' })
 * const factory = createTursoFactory({ organizationName, apiToken, catalog })
 * await factory.lifecycle?.suspend('acme')
 * ```
 */
export function createCatalog(options: CatalogOptions): Catalog {
  checkOptions(options, '', OPTIONS)
  const {
    db,
    dialect,
    retention = 2_592_000_000,
    leaseTtl = 60_000,
    waitTimeout = 120_000,
    executor,
  } = options
  if (typeof db?.selectFrom !== 'function')
    throw configError('db', "must be a Kysely instance of the catalog's database")
  if (!['sqlite', 'postgres', 'mysql'].includes(dialect)) {
    throw configError('dialect', 'must be sqlite, postgres or mysql')
  }
  requirePositive('retention', retention)
  requirePositive('waitTimeout', waitTimeout)
  // setInterval treats a longer time as 0.
  if (!(leaseTtl > 0 && leaseTtl < 2 ** 31))
    throw configError('leaseTtl', 'must be a number of milliseconds above 0 and below 2^31')
  if (executor !== undefined && typeof executor !== 'function')
    throw configError('executor', 'must be a function')
  const { ready } = openCatalogDatabase(options)

  return {
    attach<Client, Adapters>(context: FactoryContext<Client, Adapters>) {
      const catalog = { ready, environment: context.environment }
      const tenants = createTenantStore(catalog)
      const operations = createOperationStore(catalog)
      const findings = createFindingStore(catalog)
      let attached: OperationHooks | undefined
      const hooks = (): OperationHooks | undefined => attached
      function setHooks(value: OperationHooks): void {
        if (attached !== undefined) {
          throw configError('databaseIsolation', 'already has hooks attached by another setupMultiTenancy')
        }
        attached = value
      }
      const shared = { context, tenants, operations, leaseTtl, retention, hooks }
      const runner = createOperations({ ...shared, runner: createRunner(shared), waitTimeout, executor })
      const reconciler = createReconciler({ context, tenants, findings, runner })
      return {
        locator: createCatalogLocator(tenants, catalog.environment, context.cache, {
          ...options,
          reportError: context.reportError,
        }),
        lifecycle: createLifecycle({ ...shared, runner, reconciler, setHooks }),
        createTenantsApi,
      }
    },
  }
}

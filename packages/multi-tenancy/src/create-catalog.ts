import { createTenantsApi } from './api/app.ts'
import { type CatalogDatabase, openCatalogDatabase } from './catalog/connection.ts'
import { createSightingStore } from './catalog/findings.ts'
import { createOperationStore } from './catalog/operations.ts'
import { createTenantStore } from './catalog/tenants.ts'
import { configError } from './errors.ts'
import type { Catalog, FactoryContext } from './factory/context.ts'
import { createCatalogDirectory, type StateOptions } from './factory/locate-in-catalog.ts'
import { requirePositive } from './factory/options.ts'
import { createLifecycle } from './lifecycle/lifecycle.ts'
import { createEngine } from './lifecycle/operations.ts'
import { createReconciler } from './lifecycle/reconcile.ts'
import { createRunner } from './lifecycle/runner.ts'
import type { OperationHooks } from './types/lifecycle.ts'
import { checkOptions } from './util/options.ts'

export interface CatalogOptions extends CatalogDatabase, StateOptions {
  /**
   * Milliseconds a deleted tenant's database is kept, and can come back. 0 destroys it at once.
   *
   * @default 2_592_000_000 (30 days)
   */
  readonly retention?: number
  /**
   * Milliseconds without a sign of life after which whoever runs an operation counts as dead. Clocks of processes
   * may differ by less.
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
   * Has an operation run elsewhere, by `lifecycle.run(operationId, { step, owner })`: for a durable engine such as
   * Cloudflare Workflows. Resolves once it is handed over.
   *
   * @default at once, in this process
   */
  readonly executor?: (operationId: string) => Promise<void>
}

const OPTIONS = [
  'db', 'dialect', 'transactions', 'stateTtl', 'stateMaxAge', 'retention', 'leaseTtl', 'waitTimeout', 'executor',
] // biome-ignore format: one list

/**
 * The record of all tenants, kept in a database of its own (not a tenant's), through Kysely. Given to a factory, it
 * makes every step of a tenant's life durable: `factory.lifecycle` has what can be done, `multiTenancy.app` serves it.
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
    throw configError('db', 'must be a Kysely of the catalog’s database')
  if (!['sqlite', 'postgres', 'mysql'].includes(dialect)) {
    throw configError('dialect', 'must be sqlite, postgres or mysql')
  }
  requirePositive('retention', retention)
  requirePositive('waitTimeout', waitTimeout)
  // setInterval takes no more, and counts a longer time as none.
  if (!(leaseTtl > 0 && leaseTtl < 2 ** 31)) throw configError('leaseTtl', 'use milliseconds, above 0')
  if (executor !== undefined && typeof executor !== 'function')
    throw configError('executor', 'must be a function')
  const { ready } = openCatalogDatabase(options)

  return {
    attach<Client, Adapters>(core: FactoryContext<Client, Adapters>) {
      const { environment } = core
      const tenants = createTenantStore(ready, environment)
      const operations = createOperationStore(ready, environment)
      let attached: OperationHooks | undefined
      const hooks = {
        get: () => attached,
        set(given: OperationHooks) {
          if (attached !== undefined)
            throw configError('databaseIsolation', 'is set up already, with its own hooks')
          attached = given
        },
      }
      const runner = createRunner(core, tenants, operations, { leaseTtl, retention, hooks: hooks.get })
      const engine = createEngine(core, tenants, operations, runner, {
        leaseTtl,
        waitTimeout,
        executor,
        hooks: hooks.get,
      })
      const sightings = createSightingStore(ready, environment)
      const reconciler = createReconciler(core, tenants, operations, sightings, engine)
      const lifecycle = createLifecycle({ core, tenants, operations, engine, reconciler, retention, hooks })
      return {
        locator: createCatalogDirectory(tenants, environment, core.cache, {
          ...options,
          reportError: core.reportError,
        }),
        lifecycle,
        createTenantsApi,
      }
    },
  }
}

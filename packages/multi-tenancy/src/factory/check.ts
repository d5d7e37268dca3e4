import { configError } from '../errors.ts'
import { checkFunctions, checkOptions } from '../util/options.ts'
import type { FactoryOptions } from './options.ts'

const CORE: Readonly<Record<keyof FactoryOptions<unknown, unknown>, true>> = {
  createAdapters: true,
  databasePrefix: true,
  migrations: true,
  seed: true,
  catalog: true,
  cache: true,
  reservedTenantIds: true,
  openTimeout: true,
  stepTimeout: true,
  onError: true,
  environment: true,
}

/**
 * Refuses options that neither the core nor the provider has, since one that is silently ignored may be the one that
 * keeps tenants apart; and a `databasePrefix` that is there but undefined, which is a missing environment variable and
 * would open another app's databases.
 *
 * @param own the names of the provider's own options
 * @throws `config_invalid`, naming the option
 */
export function checkFactoryOptions(options: object, own: Readonly<Record<string, true>>): void {
  checkOptions(options, '', Object.keys({ ...CORE, ...own }))
  checkFunctions(options, '', ['createAdapters', 'seed', 'onError'])
  if ('databasePrefix' in options && typeof options.databasePrefix !== 'string')
    throw configError('databasePrefix', 'must be a string')
}

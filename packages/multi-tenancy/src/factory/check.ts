import { configError } from '../errors.ts'
import { checkOptions } from '../resolvers/options.ts'
import type { CacheOptions, FactoryOptions } from './options.ts'

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
  environment: true,
}

const CACHE: Readonly<Record<keyof CacheOptions, true>> = {
  max: true,
  ttl: true,
  locatorMax: true,
  locatorTtl: true,
  negativeMax: true,
  negativeTtl: true,
  unknownLookups: true,
}

/**
 * For a provider's `create…Factory`: refuses options that neither it nor the core has, since one that is silently
 * ignored may be the one that keeps tenants apart; and a `databasePrefix` that is there but undefined, which is a
 * missing environment variable and would open another app's databases.
 *
 * @param own the provider's own options
 * @throws `config_invalid`, naming the option
 */
export function checkFactoryOptions(options: object, own: Readonly<Record<string, true>>): void {
  checkOptions(options, '', Object.keys({ ...CORE, ...own }))
  const { cache, databasePrefix } = options as FactoryOptions<unknown, unknown>
  if (cache !== undefined) checkOptions(cache, 'cache', Object.keys(CACHE))
  if ('databasePrefix' in options && typeof databasePrefix !== 'string') {
    throw configError('databasePrefix', 'must be a string')
  }
}

import type { Kysely } from 'kysely'
import { defineFactory } from '../factory/define-factory.ts'
import type { FactoryOptions } from '../factory/options.ts'
import type { TenantFactory } from '../types/tenant-factory.ts'
import { createMemoryProvider, type MemoryClient, type MemoryServer } from './provider.ts'

export type MemoryFactoryOptions<Adapters> = FactoryOptions<MemoryClient, Adapters> & {
  /**
   * Where the databases are; share one between factories to play several processes.
   *
   * @default a server of its own
   */
  readonly server?: MemoryServer
}

/**
 * A database per tenant in this process's memory (SQLite): for tests and first steps. Needs Node 22.13 or later.
 *
 * @example
 * const factory = createMemoryFactory({ migrations })
 * await factory.provision('acme')
 */
export function createMemoryFactory(): TenantFactory<{ db: Kysely<any> }>
export function createMemoryFactory<Adapters = { db: Kysely<any> }>(
  options: MemoryFactoryOptions<Adapters>,
): TenantFactory<Adapters>
export function createMemoryFactory(options: MemoryFactoryOptions<any> = {}): TenantFactory<any> {
  return defineFactory(() => createMemoryProvider(options.server), options, { server: true })
}

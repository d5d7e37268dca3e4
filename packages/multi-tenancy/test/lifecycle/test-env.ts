import { createSimulatedClock, type SimulatedClock } from '@tenantry/test-support'
import type { Kysely } from 'kysely'
import type { CatalogTables, TenantRow } from '../../src/catalog/schema.ts'
import { createCatalog } from '../../src/catalog.ts'
import type { MigrationRecord } from '../../src/database/migrations/index.ts'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { openSqlite as sqlite } from '../../src/memory/index.ts'
import type { Lifecycle, OperationHooks } from '../../src/types/lifecycle.ts'
import type { Report } from '../../src/types/progress.ts'
import type { TenantFactory } from '../../src/types/tenant-factory.ts'
import { createFaultyKysely } from '../catalog/faulty-kysely.ts'
import { type Around, createService, type TestService } from './test-service.ts'

export const LEASE = 60_000
export const MAX_AGE = 30_000
export const RETENTION = 86_400_000

export const MIGRATIONS = {
  '0001_notes': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)',
}

/** One process: a factory with caches of its own over the shared catalog and service. */
export interface Process {
  readonly factory: TenantFactory<{ db: Kysely<any> }>
  readonly lifecycle: Lifecycle
  /** This process's connection to the catalog, which a test can make fail. */
  readonly catalog: ReturnType<typeof createFaultyKysely>
}

export interface ProcessOptions {
  readonly around?: Around
  readonly hooks?: OperationHooks
  readonly executor?: (operationId: string) => Promise<void>
  readonly migrations?: MigrationRecord
  readonly seed?: (id: string, report: Report) => Promise<void>
  readonly waitTimeout?: number
  readonly cache?: { readonly locatorMax?: number; readonly max?: number }
  readonly wrap?: (db: Kysely<any>) => Kysely<any>
}

export interface TestEnv {
  readonly time: SimulatedClock
  readonly service: TestService
  /** The catalog, read without a process. */
  readonly db: Kysely<CatalogTables>
  start(options?: ProcessOptions): Promise<Process>
  row(id: string, generation?: number): Promise<TenantRow>
  /** Changes a row of the catalog without the lifecycle. */
  updateTenantRow(id: string, change: Partial<TenantRow>): Promise<void>
}

export function createTestEnv(service: TestService = createService(), random?: () => number): TestEnv {
  const time = createSimulatedClock(random && { random })
  const db: Kysely<CatalogTables> = sqlite()

  async function start({
    around,
    hooks,
    executor,
    seed,
    migrations = MIGRATIONS,
    waitTimeout = 120_000,
    cache = {},
    wrap = (bare) => bare,
  }: ProcessOptions = {}): Promise<Process> {
    const catalog = createFaultyKysely(wrap(db))
    const factory = defineFactory<Kysely<any>>(service.provider(around), {
      migrations,
      environment: time,
      cache,
      ...(seed && { seed: (_adapters, { id }, { report }) => seed(id, report) }),
      catalog: createCatalog({
        db: catalog.db,
        dialect: 'sqlite',
        retention: RETENTION,
        leaseTtl: LEASE,
        stateMaxAge: MAX_AGE,
        waitTimeout,
        ...(executor && { executor }),
      }),
    })
    const { lifecycle } = factory
    if (lifecycle === undefined) throw new Error('The factory has no lifecycle')
    if (hooks !== undefined) lifecycle.attachHooks(hooks)
    // Migrations are hashed outside of simulated time, so that is done once here.
    await lifecycle.migrate('unknown').catch(() => {})
    return { factory, lifecycle, catalog }
  }

  return {
    time,
    service,
    db,
    start,
    row: (id, generation = 1) =>
      db
        .selectFrom('tenantry_tenants')
        .selectAll()
        .where('tenant_id', '=', id)
        .where('generation', '=', generation)
        .executeTakeFirstOrThrow(),
    async updateTenantRow(id, change) {
      await db.updateTable('tenantry_tenants').set(change).where('tenant_id', '=', id).execute()
    },
  }
}

export async function write({ factory }: Process, id: string, body: string): Promise<void> {
  const { db } = await factory.getAdapters(id)
  await db.insertInto('notes').values({ body }).execute()
}

export async function read({ factory }: Process, id: string): Promise<string[]> {
  const { db } = await factory.getAdapters(id)
  const rows = await db.selectFrom('notes').select('body').orderBy('id').execute()
  return rows.map(({ body }) => String(body))
}

import { defineMigrations, repairMigration, type TenantFactory } from '@tenantry/multi-tenancy'
import { createCatalog, type Lifecycle } from '@tenantry/multi-tenancy/catalog'
import { openSqlite } from '@tenantry/multi-tenancy/memory'
import { defineFactory, type TenantProvider } from '@tenantry/multi-tenancy/provider'
import type { Kysely } from 'kysely'
import type { Oracle } from '../harness.ts'
import { interceptKysely } from '../wrappers/intercept-kysely.ts'
import { interceptProvider } from '../wrappers/intercept-provider.ts'
import type { CrashHarness, ServiceConfig } from './harness.ts'
import type { Around } from './pause-points.ts'

/** The operations during which a process dies. */
export const OPERATIONS = ['provision', 'migrate', 'deprovision'] as const
export type CrashOperation = (typeof OPERATIONS)[number]

/** The milliseconds for which a process counts as alive; no operation of these tests takes longer. */
export const LEASE = 30_000

/** What every process of a run needs, as plain JSON. */
export interface CrashRun {
  /** The URL of the harness module. */
  readonly harness: string
  readonly config: ServiceConfig
  /** The path of the catalog's SQLite file. */
  readonly catalogPath: string
  /** Starts every physical name of the run. */
  readonly prefix: string
}

const FIRST_MIGRATIONS = {
  '0001_notes': 'CREATE TABLE notes (id VARCHAR(50) NOT NULL PRIMARY KEY, body VARCHAR(200))',
}
const ALL_MIGRATIONS = {
  ...FIRST_MIGRATIONS,
  '0002_pinned': 'ALTER TABLE notes ADD COLUMN pinned INTEGER; CREATE INDEX notes_pinned ON notes (pinned)',
  '0003_tags': 'CREATE TABLE tags (name VARCHAR(50) NOT NULL PRIMARY KEY)',
}

/** The statement with which an operator undoes each migration. */
const UNDO: Readonly<Record<string, string>> = {
  '0001_notes': 'DROP TABLE notes',
  '0002_pinned': 'ALTER TABLE notes DROP COLUMN pinned',
  '0003_tags': 'DROP TABLE tags',
}

/** A factory with a catalog as one process has it. */
export interface TenantProcess {
  readonly factory: TenantFactory<{ db: Kysely<any> }>
  readonly lifecycle: Lifecycle
  readonly provider: TenantProvider<any>
  close(): Promise<void>
}

export interface TenantProcessOptions {
  /** Milliseconds by which the clock is ahead. Past every lease, all other processes count as dead. @default 0 */
  readonly clockOffset?: number
  /** Adds the migrations that come later. @default false */
  readonly newer?: boolean
}

/**
 * Creates the factory of one process.
 *
 * @param around every request to the service and to the catalog passes through it
 */
export async function createTenantProcess(
  run: CrashRun,
  around: Around,
  { clockOffset = 0, newer = false }: TenantProcessOptions = {},
): Promise<TenantProcess> {
  const { createProvider, openCatalog } = (await import(run.harness)) as CrashHarness
  const bareProvider = await createProvider(run.config, around)
  const { provider } = interceptProvider(bareProvider, ({ member }, call) => around(member, call))
  const database = (await openCatalog?.(run.config)) ?? {
    db: openSqlite(run.catalogPath),
    dialect: 'sqlite' as const,
  }
  const db = interceptKysely(database.db, new Set(), (member, sql, query) =>
    around(`the catalog's ${member === 'kysely.query' ? sql.split(' ', 3).join(' ') : member}`, query),
  )
  const factory = defineFactory(provider, {
    databasePrefix: run.prefix,
    migrations: newer ? ALL_MIGRATIONS : FIRST_MIGRATIONS,
    environment: { now: () => Date.now() + clockOffset },
    catalog: createCatalog({ ...database, db, retention: 0, leaseTtl: LEASE, waitTimeout: 20_000 }),
    seed: ({ db: tenantDb }: { db: Kysely<any> }, { id }) => seedNote(tenantDb, id),
  })
  const { lifecycle } = factory
  if (lifecycle === undefined) throw new Error('The factory has no lifecycle')
  return {
    factory,
    lifecycle,
    provider,
    async close() {
      await factory.close()
      await database.db.destroy()
    },
  }
}

/** Writes one row, once, however often a crash has the seed repeated. */
async function seedNote(db: Kysely<any>, id: string): Promise<void> {
  const rows = await db.selectFrom('notes').select('id').where('id', '=', id).execute()
  if (rows.length > 0) return
  await db
    .insertInto('notes')
    .values({ id, body: `of ${id}` })
    .execute()
}

/** Runs the operation on a tenant. */
export async function performOperation(
  { lifecycle }: TenantProcess,
  operation: CrashOperation,
  tenantId: string,
): Promise<void> {
  if (operation === 'provision') await lifecycle.provision(tenantId)
  else if (operation === 'migrate') await lifecycle.migrate(tenantId)
  else await lifecycle.deprovision(tenantId)
}

/**
 * Repairs a tenant whose migration was interrupted, where DDL is not transactional, as an operator does: undoes the
 * partial migration, marks it as not applied and retries the operation. Changes no other tenant.
 */
export async function repairDirtyTenant(
  { lifecycle, provider }: TenantProcess,
  tenantId: string,
  name: string,
  { execute }: Oracle,
): Promise<void> {
  if (provider.capabilities.transactionalDdl) return
  for (let attempt = 0; attempt < Object.keys(UNDO).length; attempt++) {
    const record = await lifecycle.get(tenantId).catch(() => undefined)
    const { code, step = '' } = record?.error ?? {}
    if (code !== 'migration_dirty') return
    await execute(name, UNDO[step] ?? '').catch(() => {})
    const call = { signal: new AbortController().signal }
    const locator = await provider.find(name, call)
    if (locator === undefined) return
    const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
    const migrations = defineMigrations(ALL_MIGRATIONS)
    await repairMigration({
      provider,
      client,
      migrations,
      tenantId,
      name: step,
      statement: 0,
      now: () => Date.now() + 2 * LEASE,
    })
    await lifecycle.retry(tenantId).catch(() => {})
  }
}

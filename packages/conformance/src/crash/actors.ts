import { defineFactory, type TenantFactory } from '@tenantry/multi-tenancy'
import { createCatalog, type Lifecycle } from '@tenantry/multi-tenancy/catalog'
import { openSqlite } from '@tenantry/multi-tenancy/memory'
import type { Kysely } from 'kysely'
import { intercept } from '../wrappers/intercept.ts'
import { interceptKysely } from '../wrappers/kysely.ts'
import type { CrashHarness, ServiceConfig } from './harness.ts'
import type { Around } from './points.ts'

/** What is done to a tenant while its process dies. */
export const OPERATIONS = ['provision', 'migrate', 'deprovision'] as const
export type CrashOperation = (typeof OPERATIONS)[number]

/** How long a runner is believed alive: none does anything for longer than that here. */
export const LEASE = 30_000

/** Everything a process is told. */
export interface World {
  /** Of the harness module, as a URL. */
  readonly harness: string
  readonly config: ServiceConfig
  /** Of the catalog's SQLite file. */
  readonly catalogPath: string
  /** Of this run: starts every physical name. */
  readonly prefix: string
}

const FIRST = {
  '0001_notes': 'CREATE TABLE notes (id VARCHAR(50) NOT NULL PRIMARY KEY, body VARCHAR(200))',
}
const SECOND = {
  ...FIRST,
  '0002_pinned': 'ALTER TABLE notes ADD COLUMN pinned INTEGER; CREATE INDEX notes_pinned ON notes (pinned)',
  '0003_tags': 'CREATE TABLE tags (name VARCHAR(50) NOT NULL PRIMARY KEY)',
}

/** One process's view of the world: a factory with a catalog, its lifecycle, and how to close both. */
export interface Actor {
  readonly factory: TenantFactory<{ db: Kysely<any> }>
  readonly lifecycle: Lifecycle
  close(): Promise<void>
}

/**
 * A factory as one process has it.
 *
 * @param around stands around all it sends
 * @param later milliseconds its clock is ahead: past every lease, whoever held one counts as dead
 * @param newer with the migrations that come later
 */
export async function createActor(
  world: World,
  around: Around,
  { later = 0, newer = false }: { later?: number; newer?: boolean } = {},
): Promise<Actor> {
  const { provider: createProvider, catalog } = (await import(world.harness)) as CrashHarness
  const bare = await createProvider(world.config, around)
  const { provider } = intercept(bare, ({ member }, run) => around(member, run))
  const database = catalog?.(world.config) ?? {
    db: openSqlite(world.catalogPath),
    dialect: 'sqlite' as const,
  }
  const db = interceptKysely(database.db, new Set(), (member, sql, run) =>
    around(`the catalog's ${member === 'kysely.query' ? sql.split(' ', 3).join(' ') : member}`, run),
  )
  const factory = defineFactory(provider, {
    databasePrefix: world.prefix,
    migrations: newer ? SECOND : FIRST,
    environment: { now: () => Date.now() + later },
    catalog: createCatalog({ ...database, db, retention: 0, leaseTtl: LEASE, waitTimeout: 20_000 }),
    async seed({ db: own }: { db: Kysely<any> }, { id }) {
      // Again, after a crash: the same row.
      const rows = await own.selectFrom('notes').select('id').where('id', '=', id).execute()
      if (rows.length === 0)
        await own
          .insertInto('notes')
          .values({ id, body: `of ${id}` })
          .execute()
    },
  })
  const { lifecycle } = factory
  if (lifecycle === undefined) throw new Error('The factory has no lifecycle')
  return {
    factory,
    lifecycle,
    async close() {
      await factory.close()
      await database.db.destroy()
    },
  }
}

/** Has the operation happen to a tenant. */
export async function perform(
  { lifecycle }: Actor,
  operation: CrashOperation,
  tenantId: string,
): Promise<void> {
  if (operation === 'provision') await lifecycle.provision(tenantId)
  else if (operation === 'migrate') await lifecycle.migrate(tenantId)
  else await lifecycle.deprovision(tenantId)
}

/** For who is not to die. */
export const unharmed: Around = (_name, run) => run()

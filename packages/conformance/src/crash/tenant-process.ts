import {
  defineFactory,
  defineMigrations,
  repairMigration,
  type TenantFactory,
  type TenantProvider,
} from '@tenantry/multi-tenancy'
import { createCatalog, type Lifecycle } from '@tenantry/multi-tenancy/catalog'
import { openSqlite } from '@tenantry/multi-tenancy/memory'
import type { Kysely } from 'kysely'
import type { Oracle } from '../harness.ts'
import { interceptKysely } from '../wrappers/intercept-kysely.ts'
import { intercept } from '../wrappers/intercept-provider.ts'
import type { CrashHarness, ServiceConfig } from './harness.ts'
import type { Around } from './pause-points.ts'

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

/** What undoes each migration by hand. */
const UNDO: Readonly<Record<string, string>> = {
  '0001_notes': 'DROP TABLE notes',
  '0002_pinned': 'ALTER TABLE notes DROP COLUMN pinned',
  '0003_tags': 'DROP TABLE tags',
}

/** One process's view of the world: a factory with a catalog, its lifecycle, and how to close both. */
export interface Actor {
  readonly factory: TenantFactory<{ db: Kysely<any> }>
  readonly lifecycle: Lifecycle
  readonly provider: TenantProvider<any>
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
  const database = (await catalog?.(world.config)) ?? {
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
    provider,
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

/**
 * What a person does with a tenant whose migration was under way where DDL cannot be undone: undoes by hand what there
 * is of it, says so, and has the operation go on. Nothing to any other tenant.
 */
export async function mend(
  { lifecycle, provider }: Actor,
  tenantId: string,
  name: string,
  { execute }: Oracle,
): Promise<void> {
  if (provider.capabilities.transactionalDdl) return
  for (let tries = 0; tries < Object.keys(UNDO).length; tries++) {
    const record = await lifecycle.get(tenantId).catch(() => undefined)
    const { code, step = '' } = record?.error ?? {}
    if (code !== 'migration_dirty') return
    await execute(name, UNDO[step] ?? '').catch(() => {})
    const call = { signal: new AbortController().signal }
    const locator = await provider.find(name, call)
    if (locator === undefined) return
    const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
    const migrations = defineMigrations(SECOND)
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

/** For who is not to die. */
export const unharmed: Around = (_name, run) => run()

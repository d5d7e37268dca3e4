import { deepEqual, equal, ok } from 'node:assert/strict'
import { type FactoryOptions, TenancyError } from '@tenantry/multi-tenancy'
import { type Kysely, sql } from 'kysely'
import { type ConformanceCase, suite } from '../case.ts'
import type { Adapters, ConformanceContext } from '../context.ts'
import { refuses } from '../support/expect-error.ts'
import { assertReady } from '../support/identity-stamp.ts'
import { bodies, CREATE_NOTES, countTables, readNotes, SELECT_NOTES, writeNote } from '../support/notes.ts'

type Migrations = NonNullable<FactoryOptions<any, Adapters>['migrations']>

const KYSELY_TAGS = {
  async up(db: Kysely<any>): Promise<void> {
    await db.schema
      .createTable('tags')
      .addColumn('id', 'integer', (column) => column.primaryKey())
      .addColumn('label', 'varchar(50)')
      .execute()
    await db.insertInto('tags').values({ id: 1, label: 'first' }).execute()
  },
}

const SQL_TEXT = `${CREATE_NOTES};
-- a comment; with a semicolon
INSERT INTO notes (id, body) VALUES (1, 'semi;colon');
INSERT INTO notes (id, body) VALUES (2, 'two');`

/** Each tenant's own schema, brought up to date inside its own database. */
export const migrations: readonly ConformanceCase[] = suite('migrations', [
  {
    name: 'provision runs .sql texts and Kysely migrations in the order of their names, once',
    async run(t) {
      const all: Migrations = { '0002_tags': KYSELY_TAGS, '0001_notes': SQL_TEXT }
      const factory = t.factory({ migrations: all })
      await factory.provision('acme')
      const name = await t.nameOf('acme')
      deepEqual(bodies(await t.oracle.query(name, SELECT_NOTES)), ['semi;colon', 'two'])
      deepEqual(
        (await t.oracle.query(name, 'SELECT label FROM tags')).map((row) => row.label),
        ['first'],
      )
      deepEqual(await factory.migrate('acme'), [])
      await factory.provision('acme')
      deepEqual(await t.factory({ migrations: all }, t.another()).migrate('acme'), [])
      deepEqual(bodies(await t.oracle.query(name, SELECT_NOTES)), ['semi;colon', 'two'])
    },
  },
  {
    name: 'migrate brings a tenant to the newest version and keeps its data',
    async run(t) {
      const first: Migrations = { '0001_notes': CREATE_NOTES }
      const factory = t.factory({ migrations: first })
      await factory.provision('acme')
      await writeNote((await factory.getAdapters('acme')).db, 1, 'kept')
      const more: Migrations = {
        '0001_notes': CREATE_NOTES,
        '0002_pinned': 'ALTER TABLE notes ADD COLUMN pinned INTEGER DEFAULT 0 NOT NULL',
        '0003_tags': KYSELY_TAGS,
      }
      const newer = t.factory({ migrations: more }, t.another())
      deepEqual(await newer.migrate('acme'), ['0002_pinned', '0003_tags'])
      deepEqual(await newer.migrate('acme'), [])
      const rows = await t.oracle.query(await t.nameOf('acme'), 'SELECT body, pinned FROM notes')
      deepEqual(
        rows.map((row) => [row.body, Number(row.pinned)]),
        [['kept', 0]],
      )
      deepEqual(await readNotes((await newer.getAdapters('acme')).db), ['kept'])
    },
  },
  {
    name: 'bookkeeping lives in the tenant’s own database, and tells tenants apart',
    async run(t) {
      const one: Migrations = { '0001_notes': CREATE_NOTES }
      const two: Migrations = { ...one, '0002_tags': KYSELY_TAGS }
      await t.factory({ migrations: one }).provision('early')
      await t.factory({ migrations: two }).provision('late')
      deepEqual(await applied(t, 'early'), ['0001_notes'])
      deepEqual(await applied(t, 'late'), ['0001_notes', '0002_tags'])
      deepEqual(await t.factory({ migrations: two }, t.another()).migrate('early'), ['0002_tags'])
      deepEqual(await applied(t, 'early'), ['0001_notes', '0002_tags'])
    },
  },
  ...([false, true] as const).map((kysely) => ({
    name: `a ${kysely ? 'Kysely' : '.sql'} migration that fails leaves nothing of itself, and can be mended`,
    skip: transactionalOnly(kysely),
    async run(t: ConformanceContext) {
      const bad: Migrations[keyof Migrations] = (
        kysely
          ? {
              async up(db: Kysely<any>): Promise<void> {
                await sql`CREATE TABLE half (id INTEGER)`.execute(db)
                await sql`INSERT INTO missing (id) VALUES (1)`.execute(db)
              },
            }
          : 'CREATE TABLE half (id INTEGER); INSERT INTO missing (id) VALUES (1)'
      ) as never
      const factory = t.factory({ migrations: { '0001_notes': CREATE_NOTES, '0002_half': bad } })
      await refuses('provision', () => factory.provision('acme'), 'migration_failed')
      await refuses('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_ready')
      const name = await t.nameOf('acme')
      equal(
        Number((await t.oracle.query(name, countTables(t.dialect, 'half')))[0]?.tables),
        0,
        'half applied',
      )
      const mended = t.factory({
        migrations: { '0001_notes': CREATE_NOTES, '0002_half': 'CREATE TABLE half (id INTEGER)' },
      })
      await mended.provision('acme')
      await assertReady(t, 'acme')
      deepEqual(await applied(t, 'acme'), ['0001_notes', '0002_half'])
    },
  })),
  {
    name: 'a migration that fails half-way leaves the tenant marked dirty and refused',
    skip: ({ provider }) => (provider.capabilities.transactionalDdl ? 'transactionalDdl is true' : undefined),
    async run(t) {
      const first: Migrations = { '0001_notes': CREATE_NOTES }
      const factory = t.factory({ migrations: first })
      await factory.provision('acme')
      await factory.provision('other')
      const bad: Migrations = {
        ...first,
        '0002_half': 'CREATE TABLE half (id INTEGER); INSERT INTO missing (id) VALUES (1)',
      }
      const newer = t.factory({ migrations: bad }, t.another())
      await refuses('migrate', () => newer.migrate('acme'), 'migration_failed')
      await refuses('migrate again', () => newer.migrate('acme'), 'migration_dirty')
      factory.release('acme')
      await refuses('getAdapters', () => factory.getAdapters('acme'), 'migration_dirty')
      deepEqual(await readNotes((await factory.getAdapters('other')).db), [])
    },
  },
  {
    name: 'two processes that migrate one tenant at the same time apply each migration once',
    async run(t) {
      const first: Migrations = { '0001_notes': CREATE_NOTES }
      await t.factory({ migrations: first }).provision('acme')
      const more: Migrations = {
        ...first,
        '0002_row': "INSERT INTO notes (id, body) VALUES (1, 'once')",
        '0003_tags': KYSELY_TAGS,
      }
      const factories = [t.provider, t.another(), t.another()].map((each) =>
        t.factory({ migrations: more }, each),
      )
      const results = await Promise.all(factories.map((factory) => factory.migrate('acme')))
      deepEqual(results.flat().sort(), ['0002_row', '0003_tags'])
      deepEqual(bodies(await t.oracle.query(await t.nameOf('acme'), SELECT_NOTES)), ['once'])
      await assertReady(t, 'acme')
    },
  },
  {
    name: 'an applied migration whose text changed, or that is gone, is refused and nothing runs',
    async run(t) {
      await t.factory({ migrations: { '0001_notes': CREATE_NOTES } }).provision('acme')
      const next = { '0002_tags': KYSELY_TAGS }
      const changed = t.factory({
        migrations: { '0001_notes': `${CREATE_NOTES} `.replace('255', '99'), ...next },
      })
      await refuses('migrate', () => changed.migrate('acme'), 'migration_changed')
      await refuses('provision', () => changed.provision('acme'), 'migration_changed')
      await refuses('migrate', () => t.factory({ migrations: next }).migrate('acme'), 'migration_missing')
      deepEqual(await applied(t, 'acme'), ['0001_notes'])
    },
  },
  {
    name: 'tenants are migrated at the same time without waiting for each other’s failure',
    async run(t) {
      const ids = ['a', 'b', 'c', 'd', 'e', 'f']
      const first: Migrations = { '0001_notes': CREATE_NOTES }
      const factory = t.factory({ migrations: first })
      for (const id of ids) await factory.provision(id)
      await t.oracle.execute(await t.nameOf('c'), 'CREATE TABLE tags (id INTEGER)')
      const newer = t.factory({ migrations: { ...first, '0002_tags': KYSELY_TAGS } }, t.another())
      const results = await Promise.allSettled(ids.map((id) => newer.migrate(id)))
      for (const [at, result] of results.entries()) {
        if (ids[at] !== 'c')
          deepEqual(result.status === 'fulfilled' ? result.value : result.reason, ['0002_tags'])
        else
          ok(
            result.status === 'rejected' && result.reason instanceof TenancyError,
            'the broken one succeeded',
          )
      }
    },
  },
])

/** The names in the tenant's own journal, as the oracle reads it. */
async function applied(t: ConformanceContext, tenantId: string): Promise<string[]> {
  const rows = await t.oracle.query(
    await t.nameOf(tenantId),
    'SELECT name, state FROM tenantry_migrations ORDER BY name',
  )
  return rows.filter((row) => row.state === 'done').map((row) => String(row.name))
}

function transactionalOnly(kysely: boolean): NonNullable<ConformanceCase['skip']> {
  return ({ provider: { capabilities } }) => {
    if (!capabilities.transactionalDdl) return 'transactionalDdl is false'
    return kysely && !capabilities.transactions ? 'transactions is false' : undefined
  }
}

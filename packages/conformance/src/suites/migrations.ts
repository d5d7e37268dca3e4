import { deepEqual, equal, ok } from 'node:assert/strict'
import { type FactoryOptions, TenancyError } from '@tenantry/multi-tenancy/provider'
import { type Kysely, sql } from 'kysely'
import { type ConformanceCase, defineCases } from '../case.ts'
import type { Adapters, ConformanceContext } from '../context.ts'
import type { Harness } from '../harness.ts'
import { expectError } from '../support/expect-error.ts'
import { assertReady } from '../support/identity-stamp.ts'
import { CREATE_NOTES, countTables, readNotes, SELECT_NOTES, toBodies, writeNote } from '../support/notes.ts'

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

/** Migrations, which run inside each tenant's database. */
export const migrations: readonly ConformanceCase[] = defineCases('migrations', [
  {
    name: 'runs .sql texts and Kysely migrations once, in the order of their names',
    async run(t) {
      const all: Migrations = { '0002_tags': KYSELY_TAGS, '0001_notes': SQL_TEXT }
      const factory = t.createFactory({ migrations: all })
      await factory.provision('acme')
      const name = await t.getDatabaseName('acme')
      deepEqual(toBodies(await t.oracle.query(name, SELECT_NOTES)), ['semi;colon', 'two'])
      deepEqual(
        (await t.oracle.query(name, 'SELECT label FROM tags')).map((row) => row.label),
        ['first'],
      )
      deepEqual(await factory.migrate('acme'), [])
      await factory.provision('acme')
      deepEqual(await t.createFactory({ migrations: all }, t.createProvider()).migrate('acme'), [])
      deepEqual(toBodies(await t.oracle.query(name, SELECT_NOTES)), ['semi;colon', 'two'])
    },
  },
  {
    name: 'migrates a tenant to the newest version and keeps its data',
    async run(t) {
      const first: Migrations = { '0001_notes': CREATE_NOTES }
      const factory = t.createFactory({ migrations: first })
      await factory.provision('acme')
      await writeNote((await factory.getAdapters('acme')).db, 1, 'kept')
      const more: Migrations = {
        '0001_notes': CREATE_NOTES,
        '0002_pinned': 'ALTER TABLE notes ADD COLUMN pinned INTEGER DEFAULT 0 NOT NULL',
        '0003_tags': KYSELY_TAGS,
      }
      const newer = t.createFactory({ migrations: more }, t.createProvider())
      deepEqual(await newer.migrate('acme'), ['0002_pinned', '0003_tags'])
      deepEqual(await newer.migrate('acme'), [])
      const rows = await t.oracle.query(await t.getDatabaseName('acme'), 'SELECT body, pinned FROM notes')
      deepEqual(
        rows.map((row) => [row.body, Number(row.pinned)]),
        [['kept', 0]],
      )
      deepEqual(await readNotes((await newer.getAdapters('acme')).db), ['kept'])
    },
  },
  {
    name: "keeps the journal of each tenant's migrations in its own database",
    async run(t) {
      const one: Migrations = { '0001_notes': CREATE_NOTES }
      const two: Migrations = { ...one, '0002_tags': KYSELY_TAGS }
      await t.createFactory({ migrations: one }).provision('early')
      await t.createFactory({ migrations: two }).provision('late')
      deepEqual(await applied(t, 'early'), ['0001_notes'])
      deepEqual(await applied(t, 'late'), ['0001_notes', '0002_tags'])
      deepEqual(await t.createFactory({ migrations: two }, t.createProvider()).migrate('early'), [
        '0002_tags',
      ])
      deepEqual(await applied(t, 'early'), ['0001_notes', '0002_tags'])
    },
  },
  ...([false, true] as const).map((kysely) => ({
    name: `undoes a ${kysely ? 'Kysely' : '.sql'} migration that fails, and applies its corrected version`,
    skip: kysely ? withoutTransactions : withoutTransactionalDdl,
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
      const factory = t.createFactory({ migrations: { '0001_notes': CREATE_NOTES, '0002_half': bad } })
      await expectError('provision', () => factory.provision('acme'), 'migration_failed')
      await expectError('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_ready')
      const name = await t.getDatabaseName('acme')
      equal(
        Number((await t.oracle.query(name, countTables(t.dialect, 'half')))[0]?.tables),
        0,
        'tables of the failed migration',
      )
      const corrected = t.createFactory({
        migrations: { '0001_notes': CREATE_NOTES, '0002_half': 'CREATE TABLE half (id INTEGER)' },
      })
      await corrected.provision('acme')
      await assertReady(t, 'acme')
      deepEqual(await applied(t, 'acme'), ['0001_notes', '0002_half'])
    },
  })),
  {
    name: 'marks a tenant dirty and rejects it when a migration fails halfway',
    skip: ({ provider }) => (provider.capabilities.transactionalDdl ? 'transactionalDdl is true' : undefined),
    async run(t) {
      const first: Migrations = { '0001_notes': CREATE_NOTES }
      const factory = t.createFactory({ migrations: first })
      await factory.provision('acme')
      await factory.provision('other')
      const bad: Migrations = {
        ...first,
        '0002_half': 'CREATE TABLE half (id INTEGER); INSERT INTO missing (id) VALUES (1)',
      }
      const newer = t.createFactory({ migrations: bad }, t.createProvider())
      await expectError('migrate', () => newer.migrate('acme'), 'migration_failed')
      await expectError('migrate again', () => newer.migrate('acme'), 'migration_dirty')
      factory.release('acme')
      await expectError('getAdapters', () => factory.getAdapters('acme'), 'migration_dirty')
      deepEqual(await readNotes((await factory.getAdapters('other')).db), [])
    },
  },
  {
    name: 'applies each migration once when three processes migrate one tenant concurrently',
    async run(t) {
      const first: Migrations = { '0001_notes': CREATE_NOTES }
      await t.createFactory({ migrations: first }).provision('acme')
      const more: Migrations = {
        ...first,
        '0002_row': "INSERT INTO notes (id, body) VALUES (1, 'once')",
        '0003_tags': KYSELY_TAGS,
      }
      const factories = [t.provider, t.createProvider(), t.createProvider()].map((each) =>
        t.createFactory({ migrations: more }, each),
      )
      const results = await Promise.all(factories.map((factory) => factory.migrate('acme')))
      deepEqual(results.flat().sort(), ['0002_row', '0003_tags'])
      deepEqual(toBodies(await t.oracle.query(await t.getDatabaseName('acme'), SELECT_NOTES)), ['once'])
      await assertReady(t, 'acme')
    },
  },
  {
    name: 'rejects an applied migration that has changed or is missing, and runs none',
    async run(t) {
      await t.createFactory({ migrations: { '0001_notes': CREATE_NOTES } }).provision('acme')
      const next = { '0002_tags': KYSELY_TAGS }
      const changed = t.createFactory({
        migrations: { '0001_notes': `${CREATE_NOTES} `.replace('255', '99'), ...next },
      })
      await expectError('migrate', () => changed.migrate('acme'), 'migration_changed')
      await expectError('provision', () => changed.provision('acme'), 'migration_changed')
      await expectError(
        'migrate',
        () => t.createFactory({ migrations: next }).migrate('acme'),
        'migration_missing',
      )
      deepEqual(await applied(t, 'acme'), ['0001_notes'])
    },
  },
  {
    name: 'migrates all other tenants when the migration of one tenant fails',
    async run(t) {
      const ids = ['a', 'b', 'c', 'd', 'e', 'f']
      const first: Migrations = { '0001_notes': CREATE_NOTES }
      const factory = t.createFactory({ migrations: first })
      for (const id of ids) await factory.provision(id)
      await t.oracle.execute(await t.getDatabaseName('c'), 'CREATE TABLE tags (id INTEGER)')
      const newer = t.createFactory(
        { migrations: { ...first, '0002_tags': KYSELY_TAGS } },
        t.createProvider(),
      )
      const results = await Promise.allSettled(ids.map((id) => newer.migrate(id)))
      for (const [at, result] of results.entries()) {
        if (ids[at] !== 'c')
          deepEqual(result.status === 'fulfilled' ? result.value : result.reason, ['0002_tags'])
        else
          ok(
            result.status === 'rejected' && result.reason instanceof TenancyError,
            'the failing migration succeeded',
          )
      }
    },
  },
])

/** The names in the tenant's own journal, as the oracle reads it. */
async function applied(t: ConformanceContext, tenantId: string): Promise<string[]> {
  const rows = await t.oracle.query(
    await t.getDatabaseName(tenantId),
    'SELECT name, state FROM tenantry_migrations ORDER BY name',
  )
  return rows.filter((row) => row.state === 'done').map((row) => String(row.name))
}

function withoutTransactionalDdl({ provider: { capabilities } }: Harness): string | undefined {
  return capabilities.transactionalDdl ? undefined : 'transactionalDdl is false'
}

/** Why a provider cannot undo a Kysely migration: that takes transactional DDL and transactions. */
function withoutTransactions(harness: Harness): string | undefined {
  const { transactions } = harness.provider.capabilities
  return withoutTransactionalDdl(harness) ?? (transactions ? undefined : 'transactions is false')
}

import type { Kysely } from 'kysely'
import { describe, expect, test } from 'vitest'
import type { MigrationSource } from '../../src/database/migrations/index.ts'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { createMemoryProvider, createMemoryServer } from '../../src/memory/index.ts'
import type { TenantProvider } from '../../src/types/provider.ts'

/** A provider that records its calls. */
function createRecordedProvider(): { provider: TenantProvider<any>; calls: string[] } {
  const provider = createMemoryProvider(createMemoryServer())
  const calls: string[] = []
  return {
    calls,
    provider: {
      ...provider,
      create: (...given) => {
        calls.push('create')
        return provider.create(...given)
      },
      query: (...given) => {
        calls.push('query')
        return provider.query(...given)
      },
      batch: (client, statements) => {
        calls.push(`batch of ${statements.length}`)
        return provider.batch(client, statements)
      },
    },
  }
}

const SQL = {
  '001_notes': 'CREATE TABLE notes (id TEXT PRIMARY KEY, body TEXT)',
  '002_index': 'CREATE INDEX notes_body ON notes (body); CREATE TABLE tags (name TEXT PRIMARY KEY)',
}
const KYSELY = {
  '003_more': {
    up: (db: Kysely<any>) => db.schema.alterTable('notes').addColumn('more', 'integer').execute(),
  },
}

async function readJournal(provider: TenantProvider<any>, migrations: MigrationSource, id: string) {
  const { db } = await defineFactory(provider, { migrations }).getAdapters(id)
  return db.selectFrom('tenantry_migrations').select(['name', 'checksum', 'state', 'statement']).execute()
}

describe('a database that was created just now', () => {
  test('is stamped, migrated and ready in one batch', async () => {
    const { provider, calls } = createRecordedProvider()
    await defineFactory(provider, { migrations: { ...SQL, ...KYSELY } }).provision('acme')
    const [create, ...rest] = calls.filter((call) => call !== 'query')
    expect([create, rest.length]).toEqual(['create', 1])
    expect(await defineFactory(provider, { migrations: { ...SQL, ...KYSELY } }).migrate('acme')).toEqual([])
  })

  test('has the journal that migrating step by step writes', async () => {
    const migrations = { ...SQL, ...KYSELY }
    const whole = createMemoryProvider(createMemoryServer())
    await defineFactory(whole, { migrations }).provision('acme')
    const steps = createMemoryProvider(createMemoryServer())
    await defineFactory(
      { ...steps, capabilities: { ...steps.capabilities, transactionalDdl: false } },
      { migrations },
    ).provision('acme')
    expect(await readJournal(whole, migrations, 'acme')).toEqual(await readJournal(steps, migrations, 'acme'))
  })

  test('is seeded before it is ready', async () => {
    const { provider } = createRecordedProvider()
    const seen: unknown[] = []
    const factory = defineFactory<any, { db: Kysely<any> }>(provider, {
      migrations: SQL,
      createAdapters: (client) => ({ db: provider.kysely(client) }),
      async seed({ db }) {
        seen.push(...(await db.selectFrom('tenantry_identity').select('state').execute()))
        await db.insertInto('notes').values({ id: 'a', body: 'seeded' }).execute()
      },
    })
    await factory.provision('acme')
    const { db } = await factory.getAdapters('acme')
    expect(seen).toEqual([{ state: 'provisioning' }])
    expect(await db.selectFrom('notes').select('body').execute()).toEqual([{ body: 'seeded' }])
  })

  test.each<[string, MigrationSource]>([
    ['inserts a value of its own', { '003_x': { up: (db) => db.insertInto('notes').values({ id: String(Math.random()) }).execute() } }],
    ['reads', { '003_x': { async up(db) {
      const rows = await db.selectFrom('notes').selectAll().execute()
      if (rows.length === 0) await db.schema.createTable('empty').addColumn('id', 'integer').execute()
    } } }],
    ['reads the list of tables', { '003_x': { async up(db) {
      const tables = await db.introspection.getTables()
      if (tables.some(({ name }) => name === 'notes')) await db.schema.createTable('empty').addColumn('id', 'integer').execute()
    } } }],
    ['has a transaction of its own', { '003_x': { transaction: false, up: (db) => db.transaction().execute((trx) => trx.schema.createTable('empty').addColumn('id', 'integer').execute()) } }],
    ['swallows that it was refused', { '003_x': { up: (db) => db.insertInto('notes').values({ id: '1' }).execute().catch(() => {}) } }],
  ])('runs a Kysely migration that %s separately after the batch', async (_, more) => {
    const { provider } = createRecordedProvider()
    const migrations = { ...SQL, ...(more as object) } as MigrationSource
    await defineFactory(provider, { migrations }).provision('acme')
    const rows = await readJournal(provider, migrations, 'acme')
    expect(rows.map(({ name, state }) => [name, state])).toEqual([
      ['001_notes', 'done'],
      ['002_index', 'done'],
      ['003_x', 'done'],
    ])
  }) // biome-ignore format: a table

  test('runs `up` for each tenant, so that generated values differ', async () => {
    const { provider } = createRecordedProvider()
    const migrations = {
      '001_secret': {
        up: (db: Kysely<any>) =>
          db.schema
            .createTable(`t_${crypto.randomUUID().slice(0, 8)}`)
            .addColumn('id', 'integer')
            .execute(),
      },
    }
    const factory = defineFactory(provider, { migrations })
    const names = new Set<string>()
    for (const id of ['acme', 'bolt']) {
      await factory.provision(id)
      const { db } = await factory.getAdapters(id)
      for (const { name } of await db.introspection.getTables()) if (name.startsWith('t_')) names.add(name)
    }
    expect(names.size).toBe(2)
  })

  test('names the failing migration and keeps the earlier ones', async () => {
    const { provider } = createRecordedProvider()
    const migrations = {
      ...SQL,
      '003_bad': 'CREATE TABLE notes (id TEXT)',
      '004_last': 'CREATE TABLE later (id TEXT)',
    }
    const factory = defineFactory(provider, { migrations })
    await expect(factory.provision('acme')).rejects.toMatchObject({
      code: 'migration_failed',
      step: '003_bad',
    })
    await expect(factory.getAdapters('acme')).rejects.toMatchObject({ code: 'tenant_not_ready' })
    const corrected = defineFactory(provider, {
      migrations: { ...migrations, '003_bad': 'CREATE TABLE good (id TEXT)' },
    })
    await corrected.provision('acme')
    expect(
      (await readJournal(provider, { ...migrations, '003_bad': 'CREATE TABLE good (id TEXT)' }, 'acme')).map(
        ({ name }) => name,
      ),
    ).toHaveLength(4)
  })

  test('is read first when the service reports that it existed', async () => {
    const { provider, calls } = createRecordedProvider()
    const existing = {
      ...provider,
      create: async (...given: Parameters<typeof provider.create>) => ({
        ...(await provider.create(...given)),
        created: false,
      }),
    }
    await defineFactory(existing, { migrations: SQL }).provision('acme')
    expect(calls.filter((call) => call.startsWith('batch')).length).toBeGreaterThan(1)
  })

  test('keeps the stamp that another process has written meanwhile', async () => {
    const { provider } = createRecordedProvider()
    const factory = defineFactory(provider, { migrations: SQL, databasePrefix: 'tenant_' })
    const late = {
      ...provider,
      async create(...given: Parameters<typeof provider.create>) {
        const created = await provider.create(...given)
        await factory.provision('acme')
        return created
      },
    }
    await defineFactory(late, { migrations: SQL, databasePrefix: 'tenant_' }).provision('acme')
    expect(await readJournal(provider, SQL, 'acme')).toHaveLength(2)
  })

  test('rejects a migration that would end the transaction of the batch', async () => {
    const { provider, calls } = createRecordedProvider()
    const factory = defineFactory(provider, {
      migrations: { ...SQL, '003_end': 'COMMIT; CREATE TABLE late (id TEXT)' },
    })
    await expect(factory.provision('acme')).rejects.toMatchObject({ code: 'config_invalid' })
    expect(calls.filter((call) => call.startsWith('batch'))).toEqual([])
  })
})

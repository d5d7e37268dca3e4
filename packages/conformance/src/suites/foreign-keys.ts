import { deepEqual, equal, match } from 'node:assert/strict'
import { type Kysely, sql } from 'kysely'
import { type ConformanceCase, defineCases } from '../case.ts'
import type { ConformanceContext } from '../context.ts'
import type { Harness } from '../harness.ts'
import { expectError } from '../support/expect-error.ts'

/** Two tables, where a row of the first is deleted with the row of the second that it references. */
const TABLES = `CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE)`
const ROWS = `INSERT INTO users VALUES (1, 'Ann'); INSERT INTO posts VALUES (7, 1)`

/** What drizzle-kit 0.31 writes for a changed column. */
const REBUILD = `CREATE TABLE \`__new_users\` (\`id\` integer PRIMARY KEY NOT NULL, \`name\` text NOT NULL);
--> statement-breakpoint
INSERT INTO \`__new_users\`("id", "name") SELECT "id", "name" FROM \`users\`;--> statement-breakpoint
DROP TABLE \`users\`;--> statement-breakpoint
ALTER TABLE \`__new_users\` RENAME TO \`users\`;`
const DRIZZLE = `PRAGMA foreign_keys=OFF;--> statement-breakpoint
${REBUILD}--> statement-breakpoint
PRAGMA foreign_keys=ON;`

const first = { '0001_tables': TABLES, '0002_rows': ROWS }

/** Foreign keys of SQLite, in migrations that rebuild the table they reference. */
export const foreignKeys: readonly ConformanceCase[] = defineCases('migrations', [
  {
    name: 'keeps the rows that reference a table which a migration rebuilds with foreign keys off',
    skip: whereTheyCanBeOff,
    async run(t) {
      await t.createFactory({ migrations: first }).provision('acme')
      await t.createFactory({ migrations: first }).provision('other')
      const factory = t.createFactory(
        { migrations: { ...first, '0003_rebuild': DRIZZLE } },
        t.createProvider(),
      )
      deepEqual(await factory.migrate('acme'), ['0003_rebuild'])
      deepEqual(await counts(t), { users: 1, posts: 1 })
      await assertEnforced(t)
    },
  },
  {
    name: 'keeps the rows that reference a rebuilt table when a new tenant runs all migrations',
    skip: whereTheyCanBeOff,
    async run(t) {
      const factory = t.createFactory({
        migrations: { ...first, '0003_rebuild': DRIZZLE, '0004_more': ROWS_MORE },
      })
      await factory.provision('acme')
      deepEqual(await counts(t), { users: 2, posts: 1 })
      await assertEnforced(t)
    },
  },
  {
    name: 'rolls back a migration with foreign keys off that leaves a reference to a missing row, and names the row',
    skip: whereTheyCanBeOff,
    async run(t) {
      await t.createFactory({ migrations: first }).provision('acme')
      const orphaned = DRIZZLE.replace('FROM `users`', 'FROM `users` WHERE id > 1')
      const error = await expectError('migrate', () =>
        t.createFactory({ migrations: { ...first, '0003_rebuild': orphaned } }).migrate('acme'),
      )
      deepEqual([error.code, error.step], ['migration_failed', '0003_rebuild'])
      match(error.message, /row 7 of "posts" references a row of "users"/)
      deepEqual(await counts(t), { users: 1, posts: 1 })
      await assertEnforced(t)
      deepEqual(
        await t.createFactory({ migrations: { ...first, '0003_rebuild': DRIZZLE } }).migrate('acme'),
        ['0003_rebuild'],
      )
      deepEqual(await counts(t), { users: 1, posts: 1 })
    },
  },
  {
    name: 'enforces foreign keys again after a migration with foreign keys off has failed',
    skip: whereTheyCanBeOff,
    async run(t) {
      await t.createFactory({ migrations: first }).provision('acme')
      const broken = `${DRIZZLE} INSERT INTO missing VALUES (1)`
      const error = await expectError('migrate', () =>
        t.createFactory({ migrations: { ...first, '0003_rebuild': broken } }).migrate('acme'),
      )
      deepEqual([error.code, error.step], ['migration_failed', '0003_rebuild'])
      deepEqual(await counts(t), { users: 1, posts: 1 })
      await assertEnforced(t)
    },
  },
  {
    name: 'rejects a migration that needs foreign keys off where they cannot be off, and names the tables',
    skip: whereTheyStayOn,
    async run(t) {
      await t.createFactory({ migrations: first }).provision('acme')
      for (const rebuild of [DRIZZLE, REBUILD]) {
        const migrations = {
          ...first,
          '0003_kept': 'CREATE TABLE kept (id INTEGER)',
          '0004_rebuild': rebuild,
        }
        const error = await expectError('migrate', () => t.createFactory({ migrations }).migrate('acme'))
        deepEqual([error.code, error.step], ['not_supported', '0004_rebuild'])
        match(error.message, /DROP TABLE "users".*"posts" \(ON DELETE CASCADE\)/)
        equal(
          (await expectError('provision', () => t.createFactory({ migrations }).provision('new'))).code,
          'not_supported',
        )
        deepEqual(await counts(t), { users: 1, posts: 1 })
      }
      deepEqual(await tableNames(t), ['posts', 'users'])
    },
  },
  {
    name: 'keeps all rows of a table that is rebuilt after the tables that reference it',
    skip: onlySqlite,
    async run(t) {
      await t.createFactory({ migrations: first }).provision('acme')
      const migrations = { ...first, '0003_rebuild': REBUILD_ALL }
      deepEqual(await t.createFactory({ migrations }).migrate('acme'), ['0003_rebuild'])
      deepEqual(await counts(t), { users: 1, posts: 1 })
      await assertEnforced(t)
    },
  },
  {
    name: 'rejects a rebuild that would delete rows of another table before any statement runs',
    skip: onlySqlite,
    async run(t) {
      await t.createFactory({ migrations: first }).provision('acme')
      const migrations = { ...first, '0003_rebuild': REBUILD }
      const error = await expectError('migrate', () => t.createFactory({ migrations }).migrate('acme'))
      equal(error.step, '0003_rebuild')
      match(error.message, /DROP TABLE "users".*"posts" \(ON DELETE CASCADE\)/)
      deepEqual(await counts(t), { users: 1, posts: 1 })
    },
  },
  {
    name: 'rejects and undoes code that turns foreign keys off or rebuilds a referenced table',
    skip: (harness) =>
      onlySqlite(harness) ??
      (harness.provider.capabilities.transactions ? undefined : 'transactions is false'),
    async run(t) {
      await t.createFactory({ migrations: first }).provision('acme')
      const rebuild = async (db: Kysely<any>): Promise<void> => {
        await db.schema
          .createTable('__new_users')
          .addColumn('id', 'integer')
          .addColumn('name', 'text')
          .execute()
        await sql`INSERT INTO __new_users SELECT id, name FROM users`.execute(db)
        await db.schema.dropTable('users').execute()
        await db.schema.alterTable('__new_users').renameTo('users').execute()
      }
      const off = async (db: Kysely<any>): Promise<void> => {
        await sql`PRAGMA foreign_keys = OFF`.execute(db)
        await rebuild(db)
      }
      for (const up of [rebuild, off]) {
        const migrations = { ...first, '0003_rebuild': { up } }
        const error = await expectError(
          'migrate',
          () => t.createFactory({ migrations }).migrate('acme'),
          'migration_failed',
        )
        match(error.message, /\.sql text/)
        deepEqual(await counts(t), { users: 1, posts: 1 })
      }
      await assertEnforced(t)
    },
  },
  {
    name: 'rejects a PRAGMA without an effect in a migration before any statement runs',
    skip: onlySqlite,
    async run(t) {
      await t.createFactory({ migrations: first }).provision('acme')
      for (const text of [
        'PRAGMA journal_mode = DELETE',
        'PRAGMA recursive_triggers = ON',
        'PRAGMA table_info(users)',
      ]) {
        const migrations = { ...first, '0003_kept': 'CREATE TABLE kept (id INTEGER)', '0004_pragma': text }
        const error = await expectError('migrate', () => t.createFactory({ migrations }).migrate('acme'))
        equal(error.code, 'config_invalid')
        match(error.message, /0004_pragma, statement 1 of 1 in line 1 \(PRAGMA /)
      }
      // Without transactional DDL, all statements of a migration share one connection, so these have their effect.
      const alone = [DRIZZLE, 'PRAGMA defer_foreign_keys = ON']
      for (const text of t.provider.capabilities.transactionalDdl ? alone : []) {
        const migrations = { ...first, '0003_rebuild': { sql: text, transaction: false } }
        const error = await expectError('migrate', () => t.createFactory({ migrations }).migrate('acme'))
        equal(error.code, 'config_invalid')
      }
      deepEqual(await counts(t), { users: 1, posts: 1 })
      deepEqual(await tableNames(t), ['posts', 'users'])
    },
  },
])

const ROWS_MORE = `INSERT INTO users VALUES (2, 'Bob')`
const TABLE_NAMES =
  "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'tenantry%' AND name NOT LIKE '_cf%' ORDER BY name"

const REBUILD_ALL = `CREATE TABLE __new_users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO __new_users SELECT id, name FROM users;
CREATE TABLE __new_posts (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES __new_users (id) ON DELETE CASCADE);
INSERT INTO __new_posts SELECT id, user_id FROM posts;
DROP TABLE posts;
DROP TABLE users;
ALTER TABLE __new_users RENAME TO users;
ALTER TABLE __new_posts RENAME TO posts`

async function tableNames(t: ConformanceContext): Promise<unknown[]> {
  return (await t.oracle.query(await t.getDatabaseName('acme'), TABLE_NAMES)).map(({ name }) => name)
}

async function counts(t: ConformanceContext): Promise<{ users: number; posts: number }> {
  const [row] = await t.oracle.query(
    await t.getDatabaseName('acme'),
    'SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM posts) AS posts',
  )
  return { users: Number(row?.users), posts: Number(row?.posts) }
}

/** An app's own statements meet foreign keys that are on. */
async function assertEnforced(t: ConformanceContext): Promise<void> {
  const { db } = await t.createFactory({}).getAdapters('acme')
  for (let index = 0; index < 3; index++) {
    const insert = db
      .insertInto('posts')
      .values({ id: 100 + index, user_id: 99 })
      .execute()
    const orphan = await insert.then(
      () => 'was accepted',
      (error: unknown) => String(error),
    )
    match(orphan, /FOREIGN KEY constraint failed/)
  }
}

function onlySqlite({ provider }: Harness): string | undefined {
  const { dialect } = provider.capabilities
  return dialect === 'sqlite' ? undefined : `dialect is ${dialect}`
}

function whereTheyCanBeOff(harness: Harness): string | undefined {
  if (harness.provider.batchWithoutForeignKeys !== undefined) return undefined
  return onlySqlite(harness) ?? 'batchWithoutForeignKeys is absent'
}

function whereTheyStayOn(harness: Harness): string | undefined {
  if (harness.provider.batchWithoutForeignKeys === undefined) return onlySqlite(harness)
  return 'batchWithoutForeignKeys is there'
}

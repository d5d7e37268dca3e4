import { deepEqual, equal, match } from 'node:assert/strict'
import type { FactoryOptions } from '@tenantry/multi-tenancy/provider'
import { type Kysely, sql } from 'kysely'
import { type ConformanceCase, defineCases } from '../case.ts'
import type { Adapters, ConformanceContext } from '../context.ts'
import type { Harness } from '../harness.ts'
import { expectError } from '../support/expect-error.ts'
import { CREATE_NOTES, countTables, SELECT_NOTES, toBodies } from '../support/notes.ts'

type Migrations = NonNullable<FactoryOptions<any, Adapters>['migrations']>
type Dialect = Harness['provider']['capabilities']['dialect']

const first: Migrations = { '0001_notes': CREATE_NOTES }
const FOREIGN_KEYS_OFF = [
  'SET FOREIGN_KEY_CHECKS = 0',
  'CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, FOREIGN KEY (parent) REFERENCES parent (id))',
  'CREATE TABLE parent (id INTEGER PRIMARY KEY)',
  'INSERT INTO child (id, parent) VALUES (1, 5)',
] as const

/** Statements that have no effect in a migration, or another one than they say. */
const REFUSED: Readonly<Record<Dialect, readonly string[]>> = {
  sqlite: [
    'BEGIN IMMEDIATE',
    'COMMIT',
    'ROLLBACK',
    'SAVEPOINT a',
    'RELEASE a',
    "ATTACH ':memory:' AS other",
    'DETACH other',
  ],
  postgres: [
    'BEGIN',
    'START TRANSACTION',
    'COMMIT',
    'ROLLBACK',
    'ABORT',
    'SAVEPOINT a',
    "PREPARE TRANSACTION 'a'",
    'LISTEN a',
  ],
  mysql: [
    'BEGIN',
    'START TRANSACTION',
    'COMMIT',
    'ROLLBACK',
    'SAVEPOINT a',
    "XA START 'a'",
    'SET TRANSACTION READ ONLY',
    'SET SESSION TRANSACTION READ ONLY',
    'SET autocommit = 0',
    'SET NAMES utf8mb4, @@session.autocommit := OFF',
    'USE other',
    'LOCK TABLES notes WRITE',
    'UNLOCK TABLES',
    'SET GLOBAL max_connections = 5',
    'SET @@global.max_connections = 5',
    '/*!40101 SET autocommit = 0 */',
  ],
}

/**
 * Statements that have an effect on the next one, which they cannot have where each has its own connection. Without
 * transactional DDL, all statements of a migration share one connection.
 */
const REFUSED_ALONE: Readonly<Record<Dialect, readonly string[]>> = {
  sqlite: ['CREATE TEMP TABLE a (id INTEGER)', 'PRAGMA defer_foreign_keys = ON', 'PRAGMA foreign_keys = OFF'],
  postgres: [
    'SET search_path = public',
    'SET LOCAL lock_timeout = 5',
    'RESET ALL',
    "SELECT set_config('a.b', 'c', false)",
    "SELECT pg_catalog.set_config('search_path', '', false)",
    'LOCK TABLE notes',
    'CREATE TEMPORARY TABLE a (id INTEGER)',
    'PREPARE a AS SELECT 1',
    'DISCARD ALL',
  ],
  mysql: [],
}

/** What the statements of a migration share, and what they may not say. */
export const migrationStatements: readonly ConformanceCase[] = defineCases('migrations', [
  {
    name: 'rejects statements without an effect in a migration before any statement runs',
    async run(t) {
      await t.createFactory({ migrations: first }).provision('acme')
      const all = [
        ...REFUSED[t.dialect].map((text) => text),
        ...(t.provider.capabilities.transactionalDdl ? REFUSED_ALONE[t.dialect] : []).map((text) => ({
          sql: text,
          transaction: false,
        })),
      ]
      for (const migration of all) {
        const migrations = {
          ...first,
          '0002_kept': 'CREATE TABLE kept (id INTEGER)',
          '0003_refused': migration,
        }
        const text = typeof migration === 'string' ? migration : migration.sql
        const error = await expectError(
          text,
          () => t.createFactory({ migrations }).migrate('acme'),
          'config_invalid',
        )
        match(error.message, /0003_refused, statement 1 of 1/)
      }
      const tables = await t.oracle.query(await t.getDatabaseName('acme'), countTables(t.dialect, 'kept'))
      equal(Number(tables[0]?.tables), 0, 'the migration before it was applied')
    },
  },
  {
    name: 'accepts transactions in the `up` of a Kysely migration',
    skip: ({ provider }) => (provider.capabilities.transactions ? undefined : 'transactions is false'),
    async run(t) {
      const migrations: Migrations = {
        ...first,
        '0002_rows': {
          async up(db: Kysely<any>): Promise<void> {
            const insert = (trx: Kysely<any>, id: number): Promise<unknown> =>
              trx
                .insertInto('notes')
                .values({ id, body: `note ${id}` })
                .execute()
            await db.transaction().execute((trx) => insert(trx, 1))
            const undone = db.transaction().execute(async (trx) => {
              await insert(trx, 2)
              throw new Error('undone')
            })
            await undone.catch(() => {})
            await db.transaction().execute((trx) => insert(trx, 3))
            await insert(db, 4)
          },
        },
      }
      await t.createFactory({ migrations }).provision('acme')
      const notes = toBodies(await t.oracle.query(await t.getDatabaseName('acme'), SELECT_NOTES))
      deepEqual(notes, ['note 1', 'note 3', 'note 4'])
    },
  },
  {
    name: 'undoes an `up` that fails after its own transaction',
    skip: atomicCode,
    async run(t) {
      await t.createFactory({ migrations: first }).provision('acme')
      const up = async (db: Kysely<any>): Promise<void> => {
        await db
          .transaction()
          .execute((trx) => trx.insertInto('notes').values({ id: 1, body: 'one' }).execute())
        throw new Error('failed')
      }
      const factory = t.createFactory({ migrations: { ...first, '0002_rows': { up } } })
      await expectError('migrate', () => factory.migrate('acme'), 'migration_failed')
      deepEqual(toBodies(await t.oracle.query(await t.getDatabaseName('acme'), SELECT_NOTES)), [])
    },
  },
  {
    name: 'rejects COMMIT in an `up`, which keeps the transaction of the migration',
    skip: atomicCode,
    async run(t) {
      await t.createFactory({ migrations: first }).provision('acme')
      const up = async (db: Kysely<any>): Promise<void> => {
        await db.insertInto('notes').values({ id: 1, body: 'one' }).execute()
        await sql`COMMIT`.execute(db)
      }
      const error = await expectError(
        'migrate',
        () => t.createFactory({ migrations: { ...first, '0002_rows': { up } } }).migrate('acme'),
        'migration_failed',
      )
      match(error.message, /COMMIT/)
      deepEqual(toBodies(await t.oracle.query(await t.getDatabaseName('acme'), SELECT_NOTES)), [])
    },
  },
  {
    name: 'applies SET FOREIGN_KEY_CHECKS = 0 to the rest of its migration and to no other',
    skip: onlyMysql,
    async run(t) {
      const up = async (db: Kysely<any>): Promise<void> => {
        for (const text of FOREIGN_KEYS_OFF) await sql.raw(text).execute(db)
      }
      for (const [tenantId, migration] of [
        ['text', FOREIGN_KEYS_OFF.join('; ')],
        ['code', { up }],
      ] as const) {
        await t.createFactory({ migrations: { '0001_off': migration } }).provision(tenantId)
        await assertChecked(t, tenantId, { '0001_off': migration })
      }
      // Together, as a new database gets them.
      const together = { '0001_off': FOREIGN_KEYS_OFF.join('; '), '0002_on': ORPHAN }
      await expectError(
        'provision',
        () => t.createFactory({ migrations: together }).provision('new'),
        'migration_failed',
      )
    },
  },
])

const ORPHAN = 'INSERT INTO child (id, parent) VALUES (2, 6)'

async function assertChecked(t: ConformanceContext, tenantId: string, before: Migrations): Promise<void> {
  const error = await expectError(
    'migrate',
    () => t.createFactory({ migrations: { ...before, '0002_on': ORPHAN } as Migrations }).migrate(tenantId),
    'migration_failed',
  )
  match(error.message, /foreign key constraint fails/)
}

function onlyMysql({ provider }: Harness): string | undefined {
  const { dialect } = provider.capabilities
  return dialect === 'mysql' ? undefined : `dialect is ${dialect}`
}

function atomicCode({ provider: { capabilities } }: Harness): string | undefined {
  if (!capabilities.transactions) return 'transactions is false'
  return capabilities.transactionalDdl ? undefined : 'transactionalDdl is false'
}

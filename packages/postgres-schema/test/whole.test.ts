import { createPostgresSchemaFactory } from '@tenantry/postgres-schema'
import type { Kysely } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDatabase, type TestDatabase } from './database.ts'
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts'

let database: TestDatabase
let proxy: FaultProxy
const closing: (() => Promise<void>)[] = []
beforeAll(async () => {
  database = await createDatabase()
  proxy = await startFaultProxy(database.url)
})
afterAll(async () => {
  for (const close of closing) await close()
  await proxy?.stop()
  await database?.drop()
})

const MIGRATIONS = {
  '001_authors': 'CREATE TABLE authors (id serial PRIMARY KEY, name text NOT NULL)',
  '002_notes': `CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE TABLE notes (id serial PRIMARY KEY, author int REFERENCES authors, mood mood, body text)`,
  '003_view':
    'CREATE VIEW good_notes AS SELECT n.body, a.name FROM notes n JOIN authors a ON a.id = n.author',
  '004_kysely': {
    up: (db: Kysely<any>) => db.schema.createIndex('notes_body').on('notes').column('body').execute(),
  },
}

describe.each(['role', 'set_role', 'search_path'] as const)('%s: a new tenant', (isolation) => {
  function createFactory(url: string) {
    const factory = createPostgresSchemaFactory({
      connection: url,
      secret: database.secret,
      isolation,
      databasePrefix: `${isolation}_whole_`,
      migrations: MIGRATIONS,
      idleTimeout: 500,
    })
    closing.push(factory.close)
    return factory
  }

  it('is created in a number of round trips that does not depend on the number of migrations', async () => {
    const url = new URL(database.url)
    url.host = `${proxy.host}:${proxy.port}`
    const factory = createFactory(url.href)
    // The first tenant pays for the provider's first look-ups and connections.
    await factory.provision('first')
    const trips: number[] = []
    for (const id of ['second', 'third', 'fourth']) {
      const before = proxy.roundTrips
      await factory.provision(id)
      trips.push(proxy.roundTrips - before)
    }
    // One round trip finds the schema, one creates it, and one batch fills it. A role needs two more for its login. Some
    // runs need a login too, because they do not wait for a connection that is still being reset: hence the minimum.
    expect(Math.min(...trips)).toBe(isolation === 'role' ? 5 : 3)
  })

  it('refers to no other schema', async () => {
    const factory = createFactory(database.url)
    for (const id of ['acme', 'bolt']) await factory.provision(id)
    // A table, default, view, constraint or index of one schema depends on objects of that schema or of the server only.
    const crossing = await database.sql(
      `WITH ours AS (SELECT oid FROM pg_namespace WHERE nspname LIKE '${isolation}\\_whole\\_%'),
        named AS (SELECT 'pg_class'::regclass AS class, oid, relnamespace AS place FROM pg_class
          UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace FROM pg_type
          UNION ALL SELECT 'pg_constraint'::regclass, oid, connamespace FROM pg_constraint
          UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, c.relnamespace FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid
          UNION ALL SELECT 'pg_rewrite'::regclass, r.oid, c.relnamespace FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class)
      SELECT a.place::regnamespace AS "from", b.place::regnamespace AS "to" FROM pg_depend d
        JOIN named a ON (a.class, a.oid) = (d.classid, d.objid) JOIN named b ON (b.class, b.oid) = (d.refclassid, d.refobjid)
      WHERE a.place IN (SELECT oid FROM ours) AND b.place IN (SELECT oid FROM ours) AND a.place <> b.place`,
    )
    expect(crossing).toEqual([])
    for (const id of ['acme', 'bolt']) {
      const { db } = await factory.getAdapters(id)
      await db.insertInto('authors').values({ name: id }).execute()
      await db
        .insertInto('notes')
        .values({ author: 1, mood: 'good', body: `of ${id}` })
        .execute()
      expect(await db.selectFrom('good_notes').selectAll().execute()).toEqual([
        { body: `of ${id}`, name: id },
      ])
    }
  })
})

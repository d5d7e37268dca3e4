import type { TenantFactory } from '@tenantry/multi-tenancy'
import { createCatalog, type FindingKind, type Lifecycle } from '@tenantry/multi-tenancy/catalog'
import { Kysely, PostgresDialect } from 'kysely'
import { Pool } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createPostgresSchemaFactory } from '../src/index.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { createProvider, open, type Provider } from './support.ts'

const PREFIX = 'rec_'
let database: TestDatabase
let provider: Provider
let factory: TenantFactory<any>
let lifecycle: Lifecycle
let catalog: Kysely<any>
beforeAll(async () => {
  database = await createDatabase()
  await database.sql('CREATE SCHEMA catalog')
  const pool = new Pool({ connectionString: database.url, options: '-c search_path=catalog', max: 2 })
  catalog = new Kysely<any>({ dialect: new PostgresDialect({ pool }) })
  provider = createProvider(database)
  factory = createPostgresSchemaFactory({
    connection: database.url,
    secret: database.secret,
    databasePrefix: PREFIX,
    migrations: { '1': 'CREATE TABLE notes (id int PRIMARY KEY)' },
    catalog: createCatalog({ db: catalog, dialect: 'postgres', retention: 0 }),
  })
  if (factory.lifecycle === undefined) throw new Error('no lifecycle')
  lifecycle = factory.lifecycle
})
afterAll(async () => {
  await factory?.close()
  await provider?.close()
  await catalog?.destroy()
  await database?.drop()
})

/** Reconciles and returns the findings by the end of their names. A repair needs an earlier call that has reported the finding. */
async function reconcile(repair: FindingKind[] = []): Promise<Record<string, FindingKind>> {
  const { findings } = await lifecycle.reconcile({ repair, grace: 0 })
  return Object.fromEntries(findings.map(({ name, kind }) => [name.slice(PREFIX.length), kind] as const))
}

it('reconcile finds roles without a schema, and removes those of purged tenants', async () => {
  for (const id of ['kept', 'missing', 'purged']) await factory.provision(id)
  await factory.deprovision('purged')
  await lifecycle.purge('purged')
  for (const end of ['purged', 'unknown', 'orphan']) {
    await open(provider, PREFIX + end)
    if (end !== 'orphan') await database.sql(`DROP SCHEMA ${PREFIX}${end} CASCADE`)
  }
  await database.sql(`DROP SCHEMA ${PREFIX}missing CASCADE`)
  const roles = () =>
    database.sql(
      "SELECT d.description FROM pg_roles r JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass " +
        "WHERE d.description LIKE 'tenantry ' || (SELECT oid FROM pg_database WHERE datname = current_database()) || ' rec\\_purged'",
    )
  const others = { unknown: 'leftover', orphan: 'orphan', missing: 'missing' }
  expect(await reconcile()).toEqual({ purged: 'leftover', ...others })
  // A tenant has a role that serves requests and a role that owns its tables.
  expect(await roles()).toHaveLength(2)
  expect(await reconcile(['leftover', 'orphan'])).toEqual({ purged: 'leftover', ...others })
  // Roles of tenants that the catalog does not know are kept.
  expect(await reconcile()).toEqual(others)
  expect(await roles()).toEqual([])
  expect((await factory.open('kept')).generation).toBe(1)
})

import type { TenantFactory } from '@tenantry/multi-tenancy'
import { createCatalog, type FindingKind, type Lifecycle } from '@tenantry/multi-tenancy/catalog'
import { Kysely, MysqlDialect } from 'kysely'
import { createPool } from 'mysql2'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { createMysqlFactory } from '../src/index.ts'
import { randomName, SECRET } from './harness.ts'
import { startRelay } from './relay.ts'
import { call, createTestEnvironment, type TestEnvironment } from './support.ts'

let environment: TestEnvironment
let factory: TenantFactory<any>
let lifecycle: Lifecycle
let catalog: Kysely<any>
const name = randomName('catalog_')
beforeAll(async () => {
  environment = createTestEnvironment()
  await environment.sql(`CREATE DATABASE ${name}`)
  catalog = new Kysely<any>({
    dialect: new MysqlDialect({ pool: createPool({ uri: inject('mysqlUrl'), database: name }) }),
  })
  factory = createMysqlFactory({
    connection: inject('mysqlUrl'),
    secret: SECRET,
    registry: environment.registry,
    databasePrefix: environment.prefix,
    migrations: { '1': 'CREATE TABLE notes (id INT PRIMARY KEY)' },
    catalog: createCatalog({ db: catalog, dialect: 'mysql', retention: 0 }),
  })
  if (factory.lifecycle === undefined) throw new Error('no lifecycle')
  lifecycle = factory.lifecycle
})
afterAll(async () => {
  await factory?.close()
  await catalog?.destroy()
  await environment?.sql(`DROP DATABASE ${name}`)
  await environment?.end()
})

/** Runs reconcile, and returns the kind of each finding by the end of its name. */
async function reconcile(repair: FindingKind[] = []): Promise<Record<string, FindingKind>> {
  const { findings } = await lifecycle.reconcile({ repair, grace: 0 })
  return Object.fromEntries(
    findings.map((finding) => [finding.name.slice(environment.prefix.length), finding.kind] as const),
  )
}

it('reconcile finds users and grants that outlived their database, and removes those of purged tenants', async () => {
  for (const id of ['kept', 'missing', 'entry', 'grant']) await factory.provision(id)
  for (const id of ['entry', 'grant']) {
    await factory.deprovision(id)
    await lifecycle.purge(id)
  }
  const users: string[] = []
  for (const end of ['entry', 'grant', 'unknown', 'orphan']) {
    const { locator, name: database } = await environment.open(end)
    users.push(environment.userName(locator))
    if (end !== 'orphan') await environment.sql(`DROP DATABASE \`${database}\``)
    if (end === 'grant')
      await environment.sql(`DELETE FROM \`${environment.registry}\`.tenantry_databases WHERE name = ?`, [
        database,
      ])
  }
  await environment.sql(`DROP DATABASE \`${environment.prefix}missing\``)
  const others = { unknown: 'leftover', orphan: 'orphan', missing: 'missing' }
  expect(await reconcile()).toEqual({ entry: 'leftover', grant: 'leftover', ...others })
  expect(await reconcile(['leftover', 'orphan'])).toEqual({ entry: 'leftover', grant: 'leftover', ...others })
  // Databases without a tenant in the catalog are only reported.
  expect(await reconcile()).toEqual(others)
  for (const table of ['user', 'db']) {
    const left = await environment.sql(`SELECT User FROM mysql.${table} WHERE User IN (?)`, [users])
    expect(left.map(({ User }) => User).sort()).toEqual(users.slice(2).sort())
  }
  expect((await factory.open('kept')).generation).toBe(1)
})

it('the user of a tenant is dropped before its database', async () => {
  const relay = await startRelay(inject('mysqlUrl'))
  const url = new URL(inject('mysqlUrl'))
  url.port = String(relay.port)
  const { locator } = await environment.open('order')
  const met = relay.at('DROP DATABASE', 'hold')
  const dropping = environment.another({ connection: url.href }).drop(locator, call)
  await met
  const user = environment.userName(locator)
  expect(await environment.sql('SELECT User FROM mysql.user WHERE User = ?', [user])).toEqual([])
  expect(await environment.sql('SELECT User FROM mysql.db WHERE User = ?', [user])).toEqual([])
  expect(await environment.sql('SHOW DATABASES LIKE ?', [`${environment.prefix}order`])).toHaveLength(1)
  relay.release()
  await dropping
  expect(await environment.sql('SHOW DATABASES LIKE ?', [`${environment.prefix}order`])).toEqual([])
  await relay.close()
})

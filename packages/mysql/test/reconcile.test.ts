import type { TenantFactory } from '@tenantry/multi-tenancy'
import { createCatalog, type FindingKind, type Lifecycle } from '@tenantry/multi-tenancy/catalog'
import { Kysely, MysqlDialect } from 'kysely'
import { createPool } from 'mysql2'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { createMysqlFactory } from '../src/index.ts'
import { randomName, SECRET } from './harness.ts'
import { startRelay } from './relay.ts'
import { call, createWorld, type World } from './support.ts'

let world: World
let factory: TenantFactory<any>
let lifecycle: Lifecycle
let catalog: Kysely<any>
const name = randomName('catalog_')
beforeAll(async () => {
  world = createWorld()
  await world.sql(`CREATE DATABASE ${name}`)
  catalog = new Kysely<any>({
    dialect: new MysqlDialect({ pool: createPool({ uri: inject('mysqlUrl'), database: name }) }),
  })
  factory = createMysqlFactory({
    connection: inject('mysqlUrl'),
    secret: SECRET,
    registry: world.registry,
    databasePrefix: world.prefix,
    migrations: { '1': 'CREATE TABLE notes (id INT PRIMARY KEY)' },
    catalog: createCatalog({ db: catalog, dialect: 'mysql', retention: 0 }),
  })
  if (factory.lifecycle === undefined) throw new Error('no lifecycle')
  lifecycle = factory.lifecycle
})
afterAll(async () => {
  await factory?.close()
  await catalog?.destroy()
  await world?.sql(`DROP DATABASE ${name}`)
  await world?.end()
})

/** What is found, by the end of its name; what is to be repaired must have been seen before. */
async function found(repair: FindingKind[] = []): Promise<Record<string, FindingKind>> {
  const { findings } = await lifecycle.reconcile({ repair, grace: 0 })
  return Object.fromEntries(
    findings.map((finding) => [finding.name.slice(world.prefix.length), finding.kind] as const),
  )
}

it('reconcile finds users and grants that outlived their database, and takes away those of purged tenants', async () => {
  for (const id of ['kept', 'missing', 'entry', 'grant']) await factory.provision(id)
  for (const id of ['entry', 'grant']) {
    await factory.deprovision(id)
    await lifecycle.purge(id)
  }
  const users: string[] = []
  for (const end of ['entry', 'grant', 'stranger', 'orphan']) {
    const { locator, name: database } = await world.open(end)
    users.push(world.userOf(locator))
    if (end !== 'orphan') await world.sql(`DROP DATABASE \`${database}\``)
    if (end === 'grant')
      await world.sql(`DELETE FROM \`${world.registry}\`.tenantry_databases WHERE name = ?`, [database])
  }
  await world.sql(`DROP DATABASE \`${world.prefix}missing\``)
  const others = { stranger: 'leftover', orphan: 'orphan', missing: 'missing' }
  expect(await found()).toEqual({ entry: 'leftover', grant: 'leftover', ...others })
  expect(await found(['leftover', 'orphan'])).toEqual({ entry: 'leftover', grant: 'leftover', ...others })
  // Of what was never ours nothing is taken away.
  expect(await found()).toEqual(others)
  for (const table of ['user', 'db']) {
    const left = await world.sql(`SELECT User FROM mysql.${table} WHERE User IN (?)`, [users])
    expect(left.map(({ User }) => User).sort()).toEqual(users.slice(2).sort())
  }
  expect((await factory.open('kept')).generation).toBe(1)
})

it('a tenant’s user is gone before its database is touched', async () => {
  const relay = await startRelay(inject('mysqlUrl'))
  const url = new URL(inject('mysqlUrl'))
  url.port = String(relay.port)
  const { locator } = await world.open('order')
  const met = relay.at('DROP DATABASE', 'hold')
  const dropping = world.another({ connection: url.href }).drop(locator, call)
  await met
  const user = world.userOf(locator)
  expect(await world.sql('SELECT User FROM mysql.user WHERE User = ?', [user])).toEqual([])
  expect(await world.sql('SELECT User FROM mysql.db WHERE User = ?', [user])).toEqual([])
  expect(await world.sql('SHOW DATABASES LIKE ?', [`${world.prefix}order`])).toHaveLength(1)
  relay.release()
  await dropping
  expect(await world.sql('SHOW DATABASES LIKE ?', [`${world.prefix}order`])).toEqual([])
  await relay.close()
})

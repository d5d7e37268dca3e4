import type { Kysely } from 'kysely'
import { expect, inject, it } from 'vitest'
import { createMysqlFactory } from '../src/index.ts'
import { SECRET } from './harness.ts'
import { createTestEnvironment } from './support.ts'

const TENANTS = 500
const BUDGET = 20

/** Runs `work` for all items, `width` of them concurrently. */
async function forAll<Item>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = [...items]
  const worker = async (): Promise<void> => {
    for (let item = rest.pop(); item !== undefined; item = rest.pop()) await work(item)
  }
  await Promise.all(Array.from({ length: width }, worker))
}

it(`${TENANTS} tenants are provisioned, migrated, served over ${BUDGET} connections, and deleted without leftovers`, {
  timeout: 300_000,
}, async () => {
  const environment = createTestEnvironment()
  const { registry, prefix } = environment
  const first = { '0001_notes': 'CREATE TABLE notes (id INT PRIMARY KEY, body VARCHAR(100) NOT NULL)' }
  const second = { ...first, '0002_pinned': 'ALTER TABLE notes ADD COLUMN pinned INT NOT NULL DEFAULT 0' }
  const createFactory = (migrations: Record<string, string>) =>
    createMysqlFactory<{ db: Kysely<any> }>({
      connection: inject('mysqlUrl'),
      registry,
      secret: SECRET,
      databasePrefix: prefix,
      migrations,
      maxConnections: BUDGET,
      queueTimeout: 60_000,
    })
  const ids = Array.from({ length: TENANTS }, (_, at) => `tenant-${at}`)
  const old = createFactory(first)
  await forAll(ids, BUDGET, (id) => old.provision(id))
  await old.close()

  const factory = createFactory(second)
  let peak = 0
  const count = async (): Promise<void> => {
    const rows = await environment.sql(
      "SELECT count(*) AS n FROM information_schema.processlist WHERE user LIKE 'tenantry\\_%' AND db LIKE ?",
      [`${prefix}%`],
    )
    peak = Math.max(peak, Number(rows[0]?.n))
  }
  await forAll(ids, BUDGET, async (id) => expect(await factory.migrate(id)).toEqual(['0002_pinned']))
  let served = 0
  await forAll([...ids, ...ids], 2 * BUDGET, async (id) => {
    const { db } = await factory.getAdapters(id)
    const key = served++
    if (served % 25 === 0) await count()
    await db.insertInto('notes').values({ id: key, body: id }).execute()
    for (const row of await db.selectFrom('notes').selectAll().execute())
      expect(row).toMatchObject({ body: id, pinned: 0 })
  })
  expect(served).toBe(2 * TENANTS)
  expect(peak).toBeGreaterThan(1)
  expect(peak).toBeLessThanOrEqual(BUDGET)

  const entries = await environment.sql(`SELECT id FROM \`${registry}\`.tenantry_databases`)
  const users = entries.map(({ id }) => `tenantry_${id}`)
  expect(await environment.sql('SELECT User FROM mysql.user WHERE User IN (?)', [users])).toHaveLength(
    TENANTS,
  )
  await forAll(ids, BUDGET, (id) => factory.deprovision(id))
  await factory.close()
  expect(await environment.sql('SHOW DATABASES LIKE ?', [`${prefix.replaceAll('_', '\\_')}%`])).toEqual([])
  expect(await environment.sql(`SELECT * FROM \`${registry}\`.tenantry_databases`)).toEqual([])
  const pattern = `${prefix.replaceAll('_', '\\\\_')}%`
  expect(await environment.sql('SELECT User, Db FROM mysql.db WHERE Db LIKE ?', [pattern])).toEqual([])
  expect(await environment.sql('SELECT User FROM mysql.user WHERE User IN (?)', [users])).toEqual([])
  await environment.end()
})

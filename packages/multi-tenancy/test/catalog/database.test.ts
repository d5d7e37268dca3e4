import { CompiledQuery, type Kysely } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCatalogDatabase } from '../../src/catalog/connection.ts'
import { toRow } from '../../src/catalog/rows.ts'
import { createCatalog } from '../../src/catalog.ts'
import { readStamp, stampStatements, stampStateStatement } from '../../src/database/identity.ts'
import { createMemoryFactory, createMemoryServer, openSqlite as sqlite } from '../../src/memory/index.ts'
import { dying } from './faulty-kysely.ts'
import { startReadyProcess } from './ready-process.ts'
import { kindsHere, makeDatabase, type TestDatabase } from './test-databases.ts'
import { asId, createStores, type Stores, tenantRecord } from './test-stores.ts'

for (const kind of await kindsHere()) {
  describe(`the catalog's tables on ${kind}`, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await makeDatabase(kind)
    })
    afterAll(() => database?.cleanup())

    it('are created once by four concurrent processes', { timeout: 60_000 }, async () => {
      const module = new URL('./child-process.ts', import.meta.url)
      const children = await Promise.all(
        [0, 1, 2, 3].map((n) =>
          startReadyProcess(module, [JSON.stringify(database.address), `made-by-${n}`]),
        ),
      )
      for (const child of children) child.send('go')
      expect(await Promise.all(children.map((child) => child.receive()))).toEqual(Array(4).fill('done'))
      await Promise.all(children.map((child) => child.stop()))
      const { db, tenants } = createStores(database.open(), database.dialect)
      expect(await tenants.count({})).toBe(4)
      const untyped = db as Kysely<any>
      const journal = await untyped.selectFrom('tenantry_migrations').selectAll().execute()
      expect(journal.map(({ name, state }) => [name, state])).toEqual([['0001_catalog', 'done']])
      expect(await untyped.selectFrom('tenantry_identity').selectAll().execute()).toHaveLength(1)
    })

    if (kind === 'sqlite' || kind === 'mysql') {
      it('are completed by the next process after one died halfway', {
        timeout: 120_000,
      }, async () => {
        let died = 0
        // A server takes long to create a database, so its first fault is where the tables are created.
        for (let statements = kind === 'mysql' ? 12 : 0, finished = false; !finished; statements++) {
          const own = await makeDatabase(kind)
          try {
            const { dialect } = own
            const mortal = dying(own.open(), statements)
            const first = openCatalogDatabase({ db: mortal.db, dialect, transactions: false })
            const error = await first.ready().then(
              () => undefined,
              (cause: unknown) => cause,
            )
            finished = error === undefined
            if (!finished) died++
            const db = own.open()
            // When its lock has run out.
            const lock = db.updateTable('tenantry_lock').set({ expires_at: 0 })
            await lock.execute().catch(() => {})
            const { ready } = openCatalogDatabase({ db, dialect, transactions: false })
            await ready()
            const stamp = await db.selectFrom('tenantry_identity').selectAll().executeTakeFirstOrThrow()
            expect([stamp.state, stamp.dirty], `after ${statements}`).toEqual(['ready', null])
            expect(await createStores(db, dialect).tenants.count({}), `after ${statements}`).toBe(0)
          } finally {
            await own.cleanup()
          }
        }
        expect(died).toBeGreaterThan(10)
      })
    }

    it('count, list and page 10,000 tenants while others are created and deleted', {
      timeout: 60_000,
    }, async () => {
      const stores = createStores(database.open(), database.dialect)
      await fill(stores, 10_000)
      const { tenants } = stores
      const state = 'active' as const
      expect(await tenants.count({ idPrefix: 'fleet-' })).toBe(10_000)
      expect(await tenants.list({ idPrefix: 'fleet-012' }, undefined, 100)).toHaveLength(100)
      expect((await tenants.list({ state }, asId('fleet-04999'), 100))[0]?.id).toBe('fleet-05000')
      expect((await tenants.ids()).size).toBeGreaterThanOrEqual(10_000)
      const seen: string[] = []
      for (let after: string | undefined, page = 0; ; page++) {
        const records = await tenants.list({ idPrefix: 'fleet-' }, after, 100)
        seen.push(...records.map(({ id }) => id))
        after = records.at(-1)?.id
        if (after === undefined) break
        // One tenant is added before the cursor and one after, and one of the page is deleted.
        await tenants.insert(tenantRecord(`fleet-00000-${page}`))
        await tenants.insert(tenantRecord(`fleet-zz-${page}`))
        await tenants.update({ id: asId(after), generation: 1 }, {}, { state: 'purged' })
      }
      const steady = seen.filter((id) => /^fleet-\d{5}$/.test(id))
      expect(steady).toEqual(Array.from({ length: 10_000 }, (_, index) => fleetId(index)))
      expect(new Set(seen).size).toBe(seen.length)
      expect([...seen].sort()).toEqual(seen)
    })
  })
}

function fleetId(index: number): string {
  return `fleet-${String(index).padStart(5, '0')}`
}

async function fill({ ready }: Stores, count: number): Promise<void> {
  const db = await ready()
  const rows = Array.from({ length: count }, (_, index) => toRow(tenantRecord(fleetId(index))))
  // No order of ids.
  rows.sort((a, b) => (a.uid < b.uid ? -1 : 1))
  for (let start = 0; start < count; start += 500) {
    await db
      .insertInto('tenantry_tenants')
      .values(rows.slice(start, start + 500))
      .execute()
  }
}

describe('a database that belongs to another part', () => {
  const readDatabaseStamp = (db: Kysely<any>) =>
    readStamp('sqlite', async ({ sql, params = [] }) => {
      return (await db.executeQuery<Record<string, unknown>>(CompiledQuery.raw(sql, [...params]))).rows
    })

  for (const state of ['provisioning', 'ready', 'deprovisioning'] as const) {
    it(`of a tenant, ${state}, is rejected as a catalog and stays unchanged`, async () => {
      const db = sqlite()
      const identity = { tenantId: asId('acme'), generation: 1, uid: 'u' }
      const statements = [
        ...stampStatements('sqlite', identity),
        ...(state === 'provisioning' ? [] : [stampStateStatement('sqlite', 'u', state)]),
      ]
      for (const { sql, params = [] } of statements)
        await db.executeQuery(CompiledQuery.raw(sql, [...params]))
      const before = await readDatabaseStamp(db)
      const catalog = createCatalog({ db, dialect: 'sqlite' })
      const { lifecycle } = createMemoryFactory({ catalog })
      await expect(lifecycle?.list()).rejects.toMatchObject({ code: 'wrong_tenant' })
      await expect(lifecycle?.provision('beta')).rejects.toMatchObject({ code: 'wrong_tenant' })
      expect(await readDatabaseStamp(db)).toEqual(before)
      expect(before?.state).toBe(state)
    })
  }

  it("of the catalog is not served, provisioned or deleted as a tenant's", async () => {
    const db = sqlite()
    const server = createMemoryServer()
    const factory = createMemoryFactory({ catalog: createCatalog({ db, dialect: 'sqlite' }), server })
    await factory.provision('acme')
    server.set('tenant_acme', db)
    server.set('tenant_beta', db)
    await expect(factory.getAdapters('acme')).rejects.toMatchObject({ code: 'wrong_tenant' })
    await expect(factory.provision('beta')).rejects.toMatchObject({ code: 'wrong_tenant' })
    await expect(factory.lifecycle?.deprovision('acme', { retention: 0 })).rejects.toMatchObject({
      code: 'wrong_tenant',
    })
    expect((await factory.lifecycle?.list())?.tenants.map(({ id }) => id)).toEqual(['acme', 'beta'])
    // Without a catalog too: the stamp is what counts.
    await expect(createMemoryFactory({ server }).provision('beta')).rejects.toMatchObject({
      code: 'wrong_tenant',
    })
    await expect(createMemoryFactory({ server }).deprovision('beta')).rejects.toMatchObject({
      code: 'wrong_tenant',
    })
  })

  it("cannot carry the id of a tenant when it is the catalog's", async () => {
    const factory = createMemoryFactory()
    await expect(factory.provision('tenantry--catalog')).rejects.toMatchObject({ code: 'invalid_tenant_id' })
  })
})

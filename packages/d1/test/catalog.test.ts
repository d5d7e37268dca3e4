import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { createCatalog } from '@tenantry/multi-tenancy/catalog'
import { captureError, neverAborted } from '@tenantry/test-support'
import { Kysely } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createD1Factory, createD1Provider, type D1Database, d1Kysely } from '../src/index.ts'
import { type Bindings, startBindings } from './bindings.ts'
import { dispatchAccess, NAMESPACE } from './harness.ts'

let emulator: CloudflareEmulator
let bindings: Bindings
beforeAll(async () => {
  emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
  bindings = await startBindings(emulator, 1)
})
afterAll(async () => {
  await bindings?.close()
  await emulator?.close()
})

/** The catalog's own database: by its binding, as in a Worker, or over REST. */
async function openCatalogDatabase(method: 'binding' | 'rest'): Promise<D1Database> {
  if (method === 'binding') return bindings.createDatabase()
  const { accountId, apiToken, fetch } = emulator
  const provider = createD1Provider({ accountId, apiToken, fetch, rateLimit: 1_000_000 })
  const { locator } = await provider.create('catalog', neverAborted)
  return provider.connect({ locator, purpose: 'manage', verify: async () => {} }, neverAborted)
}

test.each(['binding', 'rest'] as const)(
  'a tenant is created, suspended, deleted and restored with the catalog on D1 by %s',
  async (method) => {
    const db = new Kysely<any>({ dialect: d1Kysely(await openCatalogDatabase(method)) })
    const catalog = createCatalog({ db, dialect: 'sqlite', transactions: false, stateTtl: 0 })
    const { accountId, apiToken, fetch, oracle } = emulator
    const factory = createD1Factory({
      ...{ accountId, apiToken, fetch, catalog, rateLimit: 1_000_000, databasePrefix: `${method}_` },
      access: [dispatchAccess(emulator)],
      migrations: { '001': 'CREATE TABLE notes (n INTEGER)' },
    })
    const { lifecycle } = factory
    if (lifecycle === undefined) throw new Error('A catalog brings a lifecycle')
    /** Counts the Workers that hold a database. */
    const countWorkers = (): number =>
      oracle
        .scripts()
        .filter(({ script, databases }) => script.includes(`/${method}_`) && databases.length > 0).length
    const read = async (): Promise<unknown> =>
      (await factory.getAdapters('acme')).db.selectFrom('notes').selectAll().execute()

    await factory.provision('acme')
    expect(await read()).toEqual([])
    const { db: earlierDb } = await factory.getAdapters('acme')
    await earlierDb.insertInto('notes').values({ n: 7 }).execute()

    await lifecycle.suspend('acme')
    expect(countWorkers()).toBe(0)
    expect((await captureError(read())).code).toBe('tenant_suspended')
    await captureError(earlierDb.selectFrom('notes').selectAll().execute())
    await lifecycle.resume('acme')
    expect(await read()).toEqual([{ n: 7 }])

    await lifecycle.deprovision('acme')
    expect(countWorkers()).toBe(0)
    await captureError(read())
    await lifecycle.undelete('acme')
    expect(await read()).toEqual([{ n: 7 }])

    await lifecycle.deprovision('acme', { retention: 0 })
    expect(countWorkers()).toBe(0)
    expect(oracle.databases().filter(({ name }) => name.startsWith(`${method}_`))).toEqual([])
  },
)

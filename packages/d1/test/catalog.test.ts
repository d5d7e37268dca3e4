import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { createCatalog } from '@tenantry/multi-tenancy/catalog'
import { Kysely } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createD1Factory, createD1Provider, type D1Database, d1Kysely } from '../src/index.ts'
import { call } from './access-methods.ts'
import { type Bindings, startBindings } from './bindings.ts'
import { dispatchWay, NAMESPACE } from './harness.ts'
import { failure } from './test-account.ts'

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

/** The catalog's own database: by its binding, as in a Worker, or by REST. */
async function catalogDatabase(way: 'binding' | 'rest'): Promise<D1Database> {
  if (way === 'binding') return bindings.fresh()
  const { accountId, apiToken, fetch } = emulator
  const provider = createD1Provider({ accountId, apiToken, fetch, rateLimit: 1_000_000 })
  const { locator } = await provider.create('catalog', call)
  return provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
}

test.each(['binding', 'rest'] as const)(
  'a tenant’s whole life, with the catalog on D1 by %s',
  async (way) => {
    const db = new Kysely<any>({ dialect: d1Kysely(await catalogDatabase(way)) })
    const catalog = createCatalog({ db, dialect: 'sqlite', transactions: false, stateTtl: 0 })
    const { accountId, apiToken, fetch, oracle } = emulator
    const factory = createD1Factory({
      ...{ accountId, apiToken, fetch, catalog, rateLimit: 1_000_000, databasePrefix: `${way}_` },
      access: [dispatchWay(emulator)],
      migrations: { '001': 'CREATE TABLE notes (n INTEGER)' },
    })
    const { lifecycle } = factory
    if (lifecycle === undefined) throw new Error('A catalog brings a lifecycle')
    /** Workers that hold a database. */
    const scripts = (): number =>
      oracle.scripts().filter(({ script, databases }) => script.includes(`/${way}_`) && databases.length > 0)
        .length
    const read = async (): Promise<unknown> =>
      (await factory.getAdapters('acme')).db.selectFrom('notes').selectAll().execute()

    await factory.provision('acme')
    expect(await read()).toEqual([])
    const { db: held } = await factory.getAdapters('acme')
    await held.insertInto('notes').values({ n: 7 }).execute()

    await lifecycle.suspend('acme')
    expect(scripts()).toBe(0)
    expect((await failure(read())).code).toBe('tenant_suspended')
    await failure(held.selectFrom('notes').selectAll().execute())
    await lifecycle.resume('acme')
    expect(await read()).toEqual([{ n: 7 }])

    await lifecycle.deprovision('acme')
    expect(scripts()).toBe(0)
    await failure(read())
    await lifecycle.undelete('acme')
    expect(await read()).toEqual([{ n: 7 }])

    await lifecycle.deprovision('acme', { retention: 0 })
    expect(scripts()).toBe(0)
    expect(oracle.databases().filter(({ name }) => name.startsWith(`${way}_`))).toEqual([])
  },
)

import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { createCatalog, type FindingKind } from '@tenantry/multi-tenancy/catalog'
import { openSqlite } from '@tenantry/multi-tenancy/memory'
import { neverAborted } from '@tenantry/test-support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createD1Factory, createD1Provider } from '../src/index.ts'
import { dispatchAccess, NAMESPACE } from './harness.ts'

const PREFIX = 'rec_'
let emulator: CloudflareEmulator
beforeAll(async () => {
  emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
})
afterAll(() => emulator?.close())

test('reconcile finds Workers whose database is gone, and removes those of purged tenants', async () => {
  const { accountId, apiToken, fetch, oracle } = emulator
  const account = { accountId, apiToken, fetch, rateLimit: 1_000_000, access: [dispatchAccess(emulator)] }
  const provider = createD1Provider(account)
  const factory = createD1Factory({
    ...account,
    databasePrefix: PREFIX,
    migrations: { '1': 'CREATE TABLE notes (n INTEGER)' },
    catalog: createCatalog({ db: openSqlite(), dialect: 'sqlite', retention: 0 }),
  })
  const { lifecycle } = factory
  if (lifecycle === undefined) throw new Error('A catalog brings a lifecycle')
  /** A finding is repaired when an earlier run saw it. */
  const reconcile = async (repair: FindingKind[] = []): Promise<Record<string, FindingKind>> => {
    const { findings } = await lifecycle.reconcile({ repair, grace: 0 })
    return Object.fromEntries(findings.map(({ name, kind }) => [name.slice(PREFIX.length), kind] as const))
  }

  for (const id of ['kept', 'missing', 'purged']) await factory.provision(id)
  await factory.deprovision('purged')
  await lifecycle.purge('purged')
  for (const suffix of ['purged', 'foreign', 'orphan']) await provider.create(PREFIX + suffix, neverAborted)
  for (const suffix of ['purged', 'foreign', 'missing']) await oracle.destroy(PREFIX + suffix)
  const unrepaired = { foreign: 'leftover', orphan: 'orphan', missing: 'missing' }
  expect(await reconcile()).toEqual({ purged: 'leftover', ...unrepaired })
  expect(await reconcile(['leftover', 'orphan'])).toEqual({ purged: 'leftover', ...unrepaired })
  // The Worker of another program's database stays.
  expect(await reconcile()).toEqual(unrepaired)
  expect(
    oracle.scripts().filter(({ script, databases }) => script.endsWith('purged') && databases.length > 0),
  ).toEqual([])
  expect((await factory.open('kept')).generation).toBe(1)
  await factory.close()
})

import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { createCatalog, type FindingKind } from '@tenantry/multi-tenancy/catalog'
import { openSqlite } from '@tenantry/multi-tenancy/memory'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createD1Factory, createD1Provider } from '../src/index.ts'
import { call } from './access-methods.ts'
import { dispatchWay, NAMESPACE } from './harness.ts'

const PREFIX = 'rec_'
let emulator: CloudflareEmulator
beforeAll(async () => {
  emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
})
afterAll(() => emulator?.close())

test('reconcile finds Workers that outlived their database, and takes away those of purged tenants', async () => {
  const { accountId, apiToken, fetch, oracle } = emulator
  const account = { accountId, apiToken, fetch, rateLimit: 1_000_000, access: [dispatchWay(emulator)] }
  const provider = createD1Provider(account)
  const factory = createD1Factory({
    ...account,
    databasePrefix: PREFIX,
    migrations: { '1': 'CREATE TABLE notes (n INTEGER)' },
    catalog: createCatalog({ db: openSqlite(), dialect: 'sqlite', retention: 0 }),
  })
  const { lifecycle } = factory
  if (lifecycle === undefined) throw new Error('A catalog brings a lifecycle')
  /** What is to be repaired must have been seen before. */
  const found = async (repair: FindingKind[] = []): Promise<Record<string, FindingKind>> => {
    const { findings } = await lifecycle.reconcile({ repair, grace: 0 })
    return Object.fromEntries(findings.map(({ name, kind }) => [name.slice(PREFIX.length), kind] as const))
  }

  for (const id of ['kept', 'missing', 'purged']) await factory.provision(id)
  await factory.deprovision('purged')
  await lifecycle.purge('purged')
  for (const end of ['purged', 'stranger', 'orphan']) await provider.create(PREFIX + end, call)
  for (const end of ['purged', 'stranger', 'missing']) await oracle.destroy(PREFIX + end)
  const others = { stranger: 'remains', orphan: 'orphan', missing: 'missing' }
  expect(await found()).toEqual({ purged: 'remains', ...others })
  expect(await found(['remains', 'orphan'])).toEqual({ purged: 'remains', ...others })
  // Of what was never ours nothing is taken away.
  expect(await found()).toEqual(others)
  expect(
    oracle.scripts().filter(({ script, databases }) => script.endsWith('purged') && databases.length > 0),
  ).toEqual([])
  expect((await factory.open('kept')).generation).toBe(1)
  await factory.close()
})

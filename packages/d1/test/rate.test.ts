import { captureError, neverAborted } from '@tenantry/test-support'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startTestAccount, type TestAccount } from './test-account.ts'

let account: TestAccount
beforeAll(async () => {
  account = await startTestAccount()
})
afterEach(() => account.reset())
afterAll(() => account?.emulator.close())

test('after status 429 no provider of the process with the same token sends a request', async () => {
  const [provider, other] = [account.createProvider(), account.createProvider()]
  const { locator } = await provider.create('blocked', neverAborted)
  const client = await other.connect({ locator, purpose: 'manage', verify: async () => {} }, neverAborted)
  account.emulator.faults.fail({ operation: 'databases.get', status: 429, code: 10_429 })
  expect(await captureError(provider.find('blocked', neverAborted))).toMatchObject({
    code: 'rate_limited',
    retryAfter: 300,
  })
  account.emulator.requests.length = 0
  for (const request of [
    provider.find('blocked', neverAborted),
    other.create('another', neverAborted),
    other.list({ prefix: 'b' }, neverAborted),
    client.prepare('SELECT 1').all(),
    other.drop(locator, neverAborted),
  ]) {
    expect(await captureError(request)).toMatchObject({ code: 'rate_limited', retryAfter: 300 })
  }
  expect(account.emulator.requests).toEqual([])
  await account.clock.advance(299_999)
  await captureError(provider.find('blocked', neverAborted))
  expect(account.emulator.requests).toEqual([])
  await account.clock.advance(1)
  expect(await provider.find('blocked', neverAborted)).toEqual(locator)
})

test('provisioning 300 tenants never exceeds the limit, and waits no longer than the limit requires', async () => {
  const limit = 100
  const { clock, emulator } = account
  const begin = clock.now()
  emulator.faults.rateLimit({ limit })
  const factory = account.createFactory({
    migrations: { '001': 'CREATE TABLE notes (id INTEGER PRIMARY KEY)' },
    rateLimit: limit,
    stepTimeout: 86_400_000,
  })
  const tenants = Array.from({ length: 300 }, (_, index) => `fleet-${index}`)
  await Promise.all(tenants.map((id) => factory.provision(id)))
  const requests = emulator.requests.length
  const windows = Math.ceil(requests / limit)
  const minutes = (clock.now() - begin) / 60_000
  console.log(`300 tenants: ${requests} requests, ${windows} windows, ${minutes.toFixed(1)} minutes`)
  expect(emulator.requests.filter(({ status }) => status !== 200 && status !== 400)).toEqual([])
  expect(windows).toBeGreaterThan(3)
  // The requests of the first window do not wait.
  expect(minutes).toBeLessThanOrEqual((windows - 1) * 5 + 0.5)
  const names = emulator.oracle.databases().map(({ name }) => name)
  expect(names.filter((name) => name.startsWith('tenant_fleet-'))).toHaveLength(300)
}, 180_000)

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { call } from './access-methods.ts'
import { failure, startWorld, type World } from './test-account.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => world.reset())
afterAll(() => world?.emulator.close())

test('during a block nothing is sent, by no provider of the process that has the token', async () => {
  const [one, other] = [world.provider(), world.provider()]
  const { locator } = await one.create('blocked', call)
  const client = await other.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
  world.emulator.faults.fail({ operation: 'databases.get', status: 429, code: 10_429 })
  expect(await failure(one.find('blocked', call))).toMatchObject({ code: 'rate_limited', retryAfter: 300 })
  world.emulator.requests.length = 0
  for (const refused of [
    one.find('blocked', call),
    other.create('another', call),
    other.list({ prefix: 'b' }, call),
    client.prepare('SELECT 1').all(),
    other.drop(locator, call),
  ]) {
    expect(await failure(refused)).toMatchObject({ code: 'rate_limited', retryAfter: 300 })
  }
  expect(world.emulator.requests).toEqual([])
  world.clock.advance(299_999)
  await failure(one.find('blocked', call))
  expect(world.emulator.requests).toEqual([])
  world.clock.advance(1)
  expect(await one.find('blocked', call)).toEqual(locator)
})

test('300 tenants are provisioned through 1,200 requests in 5 minutes, none refused, in no more windows than they need', async () => {
  const begin = world.clock.now()
  world.emulator.faults.rateLimit()
  const factory = world.factory({
    migrations: { '001': 'CREATE TABLE notes (id INTEGER PRIMARY KEY)' },
    stepTimeout: 86_400_000,
  })
  const tenants = Array.from({ length: 300 }, (_, at) => `fleet-${at}`)
  await Promise.all(tenants.map((id) => factory.provision(id)))
  const sent = world.emulator.requests.length
  const windows = Math.ceil(sent / 1_200)
  const minutes = (world.clock.now() - begin) / 60_000
  console.log(`300 tenants: ${sent} requests, ${windows} windows, ${minutes.toFixed(1)} minutes`)
  expect(world.emulator.requests.filter(({ status }) => status !== 200 && status !== 400)).toEqual([])
  // The first window's requests go at once, so the last one's wait for one window less.
  expect(minutes).toBeLessThanOrEqual((windows - 1) * 5 + 0.5)
  expect(
    world.emulator.oracle.databases().filter(({ name }) => name.startsWith('tenant_fleet-')),
  ).toHaveLength(300)
}, 180_000)

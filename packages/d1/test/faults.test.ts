import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import { TenancyError } from '@tenantry/multi-tenancy'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { call } from './access-methods.ts'
import { failure, startWorld, type World } from './test-account.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => world.reset())
afterAll(() => world?.emulator.close())

const named = (name: string) => world.emulator.oracle.databases().filter((each) => each.name === name)
const MIGRATIONS = {
  '001': 'CREATE TABLE notes (id INTEGER PRIMARY KEY)',
  '002': 'INSERT INTO notes VALUES (1)',
}

type Switch = (world: World) => void
const CREATE = { operation: 'databases.create' } as const
const UNSURE: Record<string, Switch> = {
  'the reply is lost': ({ emulator }) => emulator.faults.dropReply(CREATE),
  'the request is lost': ({ emulator }) => emulator.faults.dropRequest(CREATE),
  'it answers 500 with 7500': ({ emulator }) => emulator.faults.fail(CREATE),
  'it answers 500 with 7500, having done it': ({ emulator }) => emulator.faults.failAfterCommit(CREATE),
  'it answers 504': ({ emulator }) => emulator.faults.gatewayTimeout(CREATE),
  'it answers 504, having done it': ({ emulator }) =>
    emulator.faults.gatewayTimeout({ ...CREATE, committed: true }),
  'it answers 200 without a result': ({ emulator }) =>
    emulator.faults.alter({ ...CREATE, alter: (body) => ({ ...body, result: null }) }),
  'it answers 200 with success: false': ({ emulator }) =>
    emulator.faults.alter({ ...CREATE, alter: (body) => ({ ...body, success: false }) }),
  'it answers with another database': ({ emulator }) =>
    emulator.faults.alter({
      ...CREATE,
      alter: (body) => ({ ...body, result: { ...body.result, name: 'tenant_other' } }),
    }),
}

describe('exactly one database, owned and migrated, when at its creation', () => {
  test.for(Object.entries(UNSURE))('%s', async ([what, arm]) => {
    const tenant = `t-${createHash('sha256').update(what).digest('hex').slice(0, 8)}`
    const factory = world.factory({ migrations: MIGRATIONS })
    arm(world)
    await factory.provision(tenant)
    expect(named(`tenant_${tenant}`)).toHaveLength(1)
    const { db } = await factory.getAdapters(tenant)
    expect(await db.selectFrom('notes').selectAll().execute()).toEqual([{ id: 1 }])
    await factory.deprovision(tenant)
    expect(named(`tenant_${tenant}`)).toEqual([])
  })
})

test('a stranger’s database of the name is neither taken over nor deleted', async () => {
  await world.emulator.oracle.create('tenant_theirs')
  await world.emulator.oracle.execute('tenant_theirs', 'CREATE TABLE precious (n INTEGER)')
  const factory = world.factory({ migrations: MIGRATIONS })
  expect((await failure(factory.provision('theirs'))).code).toBe('name_taken')
  expect((await failure(factory.deprovision('theirs'))).code).toBe('name_taken')
  expect(await world.emulator.oracle.execute('tenant_theirs', 'SELECT count(*) AS n FROM precious')).toEqual([
    { n: 0 },
  ])
})

describe('a migration whose answer is lost', () => {
  test.each(['dropReply', 'failAfterCommit', 'gatewayTimeout'] as const)('runs once: %s', async (fault) => {
    const tenant = `once-${fault.toLowerCase()}`
    const factory = world.factory({ migrations: MIGRATIONS })
    const armed = world.emulator.faults[fault]({
      operation: 'databases.query',
      body: /CREATE TABLE notes/,
      ...(fault === 'gatewayTimeout' ? { committed: true } : {}),
    })
    await factory.provision(tenant)
    expect(armed.hits).toBe(1)
    const rows = await world.emulator.oracle.execute(`tenant_${tenant}`, 'SELECT id FROM notes')
    expect(rows).toEqual([{ id: 1 }])
  })
})

test('each of Cloudflare’s refusals has its code', async () => {
  const provider = world.provider()
  const { faults } = world.emulator
  const refusals = [
    [403, 7403, 'credentials_rejected'],
    [401, 10_000, 'credentials_rejected'],
    [403, 9109, 'credentials_rejected'],
    [400, 7406, 'quota_exceeded'],
    [400, 7400, 'provider_rejected'],
    [404, 7003, 'provider_rejected'],
    [500, 7500, 'provider_unavailable'],
    [400, 7500, 'provider_rejected'],
    [503, 1101, 'provider_unavailable'],
  ] as const
  for (const [status, code, expected] of refusals) {
    faults.clear()
    faults.fail({ operation: 'databases.create', status, code })
    const error = await failure(provider.create('refused', call))
    expect(`${status} ${code} ${error.code}`).toBe(`${status} ${code} ${expected}`)
  }
  // A find that does not know does not say "missing".
  for (const [status, code] of [
    [404, 7003],
    [500, 7400],
    [403, 7403],
  ] as const) {
    faults.clear()
    faults.fail({ operation: 'databases.get', status, code, times: 1 })
    await failure(provider.find('refused', call))
  }
})

test('the account’s last database is said to be the last', async () => {
  const small = await startWorld({ databaseLimit: 1 })
  try {
    await small.provider().create('only', call)
    expect((await failure(small.provider().create('one_more', call))).code).toBe('quota_exceeded')
  } finally {
    await small.emulator.close()
  }
})

test('a deletion is done when Cloudflare says the database is not there, and not when it says something else', async () => {
  const provider = world.provider()
  const { locator } = await provider.create('gone', call)
  world.emulator.faults.fail({ operation: 'databases.delete', status: 404, code: 7003 })
  expect((await failure(provider.drop(locator, call))).code).toBe('provider_rejected')
  world.emulator.faults.dropReply({ operation: 'databases.delete' })
  expect((await failure(provider.drop(locator, call))).code).toBe('provider_unavailable')
  await provider.drop(locator, call)
  expect(named('gone')).toEqual([])
})

test('an id that is none reaches no path', async () => {
  const provider = world.provider()
  for (const uuid of [
    '',
    '..',
    '../x',
    'a'.repeat(36),
    '51e7c314-456e-4167-b6c3-869ad188fc23/..',
    '%2e%2e',
  ]) {
    expect((await failure(provider.drop({ name: 'x', uuid }, call))).code).toBe('internal')
  }
  expect((await failure(provider.drop({ name: 'x' }, call))).code).toBe('internal')
  expect(world.emulator.requests).toEqual([])
})

test('a client that finds its database gone says so', async () => {
  const provider = world.provider()
  const { locator } = await provider.create('going', call)
  let lost = 0
  const client = await provider.connect(
    { locator, purpose: 'manage', verify: async () => {}, onDatabaseGone: () => lost++ },
    call,
  )
  await world.emulator.oracle.destroy('going')
  expect((await failure(client.prepare('SELECT 1').all())).code).toBe('tenant_not_found')
  expect(lost).toBe(1)
})

test('each use is admitted, and none after it is not', async () => {
  const provider = world.provider()
  const { locator } = await provider.create('admitted', call)
  let open = true
  const admit = async (): Promise<void> => {
    if (!open) throw new Error('suspended')
  }
  const client = await provider.connect(
    { locator, purpose: 'serve', verify: async () => {}, beforeUse: admit },
    call,
  )
  const statement = client.prepare('SELECT 1 AS one')
  expect(await statement.first('one')).toBe(1)
  open = false
  world.emulator.requests.length = 0
  for (const use of [
    () => statement.all(),
    () => statement.run(),
    () => statement.first(),
    () => statement.raw(),
    () => client.batch([statement]),
    () => client.exec('SELECT 1'),
  ]) {
    await expect(use()).rejects.toThrow('suspended')
  }
  expect(world.emulator.requests).toEqual([])
})

test('a redirect is not followed, and no token is in what is thrown', async () => {
  const seen: string[] = []
  const provider = world.provider({
    fetch: async (input) => {
      seen.push(String(input instanceof Request ? input.url : input))
      return new Response(null, { status: 302, headers: { location: 'https://evil.example/' } })
    },
  })
  const error = await failure(provider.find('x', call))
  expect(error.code).toBe('provider_rejected')
  expect(seen).toHaveLength(1)
  expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(world.emulator.apiToken)
})

test('a database is made where it was asked for', async () => {
  const { oracle } = world.emulator
  await world.provider({ placement: 'weur', readReplication: 'auto' }).create('in_weur', call)
  await world.provider({ placement: 'weur' }).create('in_eu', { ...call, placement: 'eu' })
  expect(
    oracle
      .databases()
      .map(({ name, region, jurisdiction, replication }) => [name, region, jurisdiction, replication]),
  ).toEqual(
    expect.arrayContaining([
      ['in_weur', 'weur', undefined, 'auto'],
      ['in_eu', expect.anything(), 'eu', 'disabled'],
    ]),
  )
  const nowhere = world.provider().create('nowhere', { ...call, placement: 'mars' })
  expect((await failure(nowhere)).code).toBe('config_invalid')
})

test('no answer within requestTimeout is a timeout, of the database and of the account', async () => {
  const { faults } = world.emulator
  const provider = world.provider({ requestTimeout: 50 })
  const { locator } = await world.provider().create('slow', call)
  const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
  faults.hold({ operation: ['databases.query', 'databases.get'], times: 2 })
  expect((await failure(client.prepare('SELECT 1').all())).code).toBe('timeout')
  expect((await failure(provider.find('slow', call))).code).toBe('timeout')
})

test('a caller that gives up ends the request', async () => {
  const provider = world.provider()
  const held = world.emulator.faults.hold({ operation: 'databases.get' })
  const controller = new AbortController()
  const found = provider.find('given-up', { signal: controller.signal })
  await held.met()
  controller.abort(new TenancyError('timeout', 'given up'))
  expect(await failure(found)).toMatchObject({ message: '[timeout] given up' })
})

describe('what says it failed is no answer, whatever else it says', () => {
  const failed = (body: any): unknown => ({ ...body, success: false })

  test('a listing of nothing is not "there is none"', async () => {
    const provider = world.provider()
    await provider.create('listed', call)
    world.emulator.faults.alter({
      operation: 'databases.list',
      alter: (body) => failed({ ...body, result: [] }),
    })
    expect((await failure(provider.list({ prefix: 'listed' }, call))).code).toBe('provider_unavailable')
  })

  test('a look-up with another database’s name, or with none, is not the database', async () => {
    const provider = world.provider()
    const { locator } = await provider.create('looked_up', call)
    const answers: ((body: any) => unknown)[] = [
      failed,
      (body) => ({ ...body, result: null }),
      (body) => ({ ...body, result: { ...body.result, name: 'looked_up_2' } }),
      (body) => ({ ...body, result: { ...body.result, uuid: '../../x' } }),
      () => 'not an envelope',
    ]
    for (const alter of answers) {
      world.emulator.faults.alter({ operation: 'databases.get', alter })
      expect((await failure(provider.find('looked_up', call))).code).toBe('provider_unavailable')
    }
    expect(await provider.find('looked_up', call)).toEqual(locator)
  })

  test('a statement’s rows are not taken from it', async () => {
    const provider = world.provider()
    const { locator } = await provider.create('rows', call)
    const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
    const answers: ((body: any) => unknown)[] = [
      failed,
      (body) => ({ ...body, result: [] }),
      (body) => ({ ...body, result: [{ ...body.result[0], success: false }] }),
    ]
    for (const alter of answers) {
      world.emulator.faults.alter({ operation: 'databases.query', alter })
      expect((await failure(client.prepare('SELECT 1').all())).code).toBe('provider_unavailable')
    }
  })

  test('a deletion that failed is not done', async () => {
    const provider = world.provider()
    const { locator } = await provider.create('kept', call)
    world.emulator.faults.alter({ operation: 'databases.delete', alter: failed })
    expect((await failure(provider.drop(locator, call))).code).toBe('provider_unavailable')
  })
})

test('a listing keeps to names that start so, though Cloudflare searches anywhere in them', async () => {
  const provider = world.provider()
  for (const name of ['shop_a', 'my_shop_a', 'shop-b']) await provider.create(name, call)
  const { databases } = await provider.list({ prefix: 'shop_' }, call)
  expect(databases.map(({ name }) => name)).toEqual(['shop_a'])
})

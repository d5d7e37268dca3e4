import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import { TenancyError } from '@tenantry/multi-tenancy'
import { captureError, neverAborted } from '@tenantry/test-support'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startTestAccount, type TestAccount } from './test-account.ts'

let account: TestAccount
beforeAll(async () => {
  account = await startTestAccount()
})
afterEach(() => account.reset())
afterAll(() => account?.emulator.close())

const findDatabases = (name: string) =>
  account.emulator.oracle.databases().filter((database) => database.name === name)
const MIGRATIONS = {
  '001': 'CREATE TABLE notes (id INTEGER PRIMARY KEY)',
  '002': 'INSERT INTO notes VALUES (1)',
}

type ArmFault = (account: TestAccount) => void
const CREATE = { operation: 'databases.create' } as const
const UNKNOWN_OUTCOMES: Record<string, ArmFault> = {
  'the response is lost': ({ emulator }) => emulator.faults.dropReply(CREATE),
  'the request is lost': ({ emulator }) => emulator.faults.dropRequest(CREATE),
  'the API responds with 500 and code 7500': ({ emulator }) => emulator.faults.fail(CREATE),
  'the API responds with 500 and code 7500 after creating the database': ({ emulator }) =>
    emulator.faults.failAfterCommit(CREATE),
  'the API responds with 504': ({ emulator }) => emulator.faults.gatewayTimeout(CREATE),
  'the API responds with 504 after creating the database': ({ emulator }) =>
    emulator.faults.gatewayTimeout({ ...CREATE, committed: true }),
  'the API responds with 200 and without a result': ({ emulator }) =>
    emulator.faults.alter({ ...CREATE, alter: (body) => ({ ...body, result: null }) }),
  'the API responds with 200 and success: false': ({ emulator }) =>
    emulator.faults.alter({ ...CREATE, alter: (body) => ({ ...body, success: false }) }),
  'the API responds with another database': ({ emulator }) =>
    emulator.faults.alter({
      ...CREATE,
      alter: (body) => ({ ...body, result: { ...body.result, name: 'tenant_other' } }),
    }),
}

describe('provision leaves exactly one migrated database of the tenant when', () => {
  test.for(Object.entries(UNKNOWN_OUTCOMES))('%s', async ([what, arm]) => {
    const tenant = `t-${createHash('sha256').update(what).digest('hex').slice(0, 8)}`
    const factory = account.createFactory({ migrations: MIGRATIONS })
    arm(account)
    await factory.provision(tenant)
    expect(findDatabases(`tenant_${tenant}`)).toHaveLength(1)
    const { db } = await factory.getAdapters(tenant)
    expect(await db.selectFrom('notes').selectAll().execute()).toEqual([{ id: 1 }])
    await factory.deprovision(tenant)
    expect(findDatabases(`tenant_${tenant}`)).toEqual([])
  })
})

test('a database of the name that another program created is neither taken over nor deleted', async () => {
  await account.emulator.oracle.create('tenant_theirs')
  await account.emulator.oracle.execute('tenant_theirs', 'CREATE TABLE precious (n INTEGER)')
  const factory = account.createFactory({ migrations: MIGRATIONS })
  expect((await captureError(factory.provision('theirs'))).code).toBe('name_taken')
  expect((await captureError(factory.deprovision('theirs'))).code).toBe('name_taken')
  expect(
    await account.emulator.oracle.execute('tenant_theirs', 'SELECT count(*) AS n FROM precious'),
  ).toEqual([{ n: 0 }])
})

describe('a migration whose response is lost', () => {
  test.each(['dropReply', 'failAfterCommit', 'gatewayTimeout'] as const)('runs once: %s', async (fault) => {
    const tenant = `once-${fault.toLowerCase()}`
    const factory = account.createFactory({ migrations: MIGRATIONS })
    const armed = account.emulator.faults[fault]({
      operation: 'databases.query',
      body: /CREATE TABLE notes/,
      ...(fault === 'gatewayTimeout' ? { committed: true } : {}),
    })
    await factory.provision(tenant)
    expect(armed.hits).toBe(1)
    const rows = await account.emulator.oracle.execute(`tenant_${tenant}`, 'SELECT id FROM notes')
    expect(rows).toEqual([{ id: 1 }])
  })
})

test("each of Cloudflare's errors has its code", async () => {
  const provider = account.createProvider()
  const { faults } = account.emulator
  const errors = [
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
  for (const [status, code, expected] of errors) {
    faults.clear()
    faults.fail({ operation: 'databases.create', status, code })
    const error = await captureError(provider.create('refused', neverAborted))
    expect(`${status} ${code} ${error.code}`).toBe(`${status} ${code} ${expected}`)
  }
  // An error of find is not "missing".
  for (const [status, code] of [
    [404, 7003],
    [500, 7400],
    [403, 7403],
  ] as const) {
    faults.clear()
    faults.fail({ operation: 'databases.get', status, code, times: 1 })
    await captureError(provider.find('refused', neverAborted))
  }
})

test("a create over the account's limit is quota_exceeded", async () => {
  const small = await startTestAccount({ databaseLimit: 1 })
  try {
    await small.createProvider().create('only', neverAborted)
    expect((await captureError(small.createProvider().create('one_more', neverAborted))).code).toBe(
      'quota_exceeded',
    )
  } finally {
    await small.emulator.close()
  }
})

test('a drop succeeds when Cloudflare reports a missing database, and fails on any other error', async () => {
  const provider = account.createProvider()
  const { locator } = await provider.create('gone', neverAborted)
  account.emulator.faults.fail({ operation: 'databases.delete', status: 404, code: 7003 })
  expect((await captureError(provider.drop(locator, neverAborted))).code).toBe('provider_rejected')
  account.emulator.faults.dropReply({ operation: 'databases.delete' })
  expect((await captureError(provider.drop(locator, neverAborted))).code).toBe('provider_unavailable')
  await provider.drop(locator, neverAborted)
  expect(findDatabases('gone')).toEqual([])
})

test('a locator without a valid uuid sends no request', async () => {
  const provider = account.createProvider()
  for (const uuid of [
    '',
    '..',
    '../x',
    'a'.repeat(36),
    '51e7c314-456e-4167-b6c3-869ad188fc23/..',
    '%2e%2e',
  ]) {
    expect((await captureError(provider.drop({ name: 'x', uuid }, neverAborted))).code).toBe('internal')
  }
  expect((await captureError(provider.drop({ name: 'x' }, neverAborted))).code).toBe('internal')
  expect(account.emulator.requests).toEqual([])
})

test('a client whose database is gone reports it', async () => {
  const provider = account.createProvider()
  const { locator } = await provider.create('going', neverAborted)
  let notifications = 0
  const client = await provider.connect(
    { locator, purpose: 'manage', verify: async () => {}, onDatabaseGone: () => notifications++ },
    neverAborted,
  )
  await account.emulator.oracle.destroy('going')
  expect((await captureError(client.prepare('SELECT 1').all())).code).toBe('tenant_not_found')
  expect(notifications).toBe(1)
})

test('each operation of a client waits for beforeUse, and none runs after it rejects', async () => {
  const provider = account.createProvider()
  const { locator } = await provider.create('admitted', neverAborted)
  let open = true
  const beforeUse = async (): Promise<void> => {
    if (!open) throw new Error('suspended')
  }
  const client = await provider.connect(
    { locator, purpose: 'serve', verify: async () => {}, beforeUse },
    neverAborted,
  )
  const statement = client.prepare('SELECT 1 AS one')
  expect(await statement.first('one')).toBe(1)
  open = false
  account.emulator.requests.length = 0
  for (const operation of [
    () => statement.all(),
    () => statement.run(),
    () => statement.first(),
    () => statement.raw(),
    () => client.batch([statement]),
    () => client.exec('SELECT 1'),
  ]) {
    await expect(operation()).rejects.toThrow('suspended')
  }
  expect(account.emulator.requests).toEqual([])
})

test('a redirect is not followed, and the error contains no token', async () => {
  const urls: string[] = []
  const provider = account.createProvider({
    fetch: async (input) => {
      urls.push(String(input instanceof Request ? input.url : input))
      return new Response(null, { status: 302, headers: { location: 'https://evil.example/' } })
    },
  })
  const error = await captureError(provider.find('x', neverAborted))
  expect(error.code).toBe('provider_rejected')
  expect(urls).toHaveLength(1)
  expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(account.emulator.apiToken)
})

test('a database is created at its placement', async () => {
  const { oracle } = account.emulator
  await account.createProvider({ placement: 'weur', readReplication: 'auto' }).create('in_weur', neverAborted)
  await account.createProvider({ placement: 'weur' }).create('in_eu', { ...neverAborted, placement: 'eu' })
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
  const nowhere = account.createProvider().create('nowhere', { ...neverAborted, placement: 'mars' })
  expect((await captureError(nowhere)).code).toBe('config_invalid')
})

test('a query and a look-up without a response within requestTimeout fail with timeout', async () => {
  const { faults } = account.emulator
  const provider = account.createProvider({ requestTimeout: 50 })
  const { locator } = await account.createProvider().create('slow', neverAborted)
  const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, neverAborted)
  faults.hold({ operation: ['databases.query', 'databases.get'], times: 2 })
  expect((await captureError(client.prepare('SELECT 1').all())).code).toBe('timeout')
  expect((await captureError(provider.find('slow', neverAborted))).code).toBe('timeout')
})

test('an aborted call ends its request with the reason', async () => {
  const provider = account.createProvider()
  const hold = account.emulator.faults.hold({ operation: 'databases.get' })
  const controller = new AbortController()
  const search = provider.find('given-up', { signal: controller.signal })
  await hold.met()
  controller.abort(new TenancyError('timeout', 'given up'))
  expect(await captureError(search)).toMatchObject({ message: '[timeout] given up' })
})

describe('a response with success: false is an error', () => {
  const failed = (body: any): unknown => ({ ...body, success: false })

  test('of a listing, also with an empty page', async () => {
    const provider = account.createProvider()
    await provider.create('listed', neverAborted)
    account.emulator.faults.alter({
      operation: 'databases.list',
      alter: (body) => failed({ ...body, result: [] }),
    })
    expect((await captureError(provider.list({ prefix: 'listed' }, neverAborted))).code).toBe(
      'provider_unavailable',
    )
  })

  test('of a look-up, as are responses with another database or in another form', async () => {
    const provider = account.createProvider()
    const { locator } = await provider.create('looked_up', neverAborted)
    const answers: ((body: any) => unknown)[] = [
      failed,
      (body) => ({ ...body, result: null }),
      (body) => ({ ...body, result: { ...body.result, name: 'looked_up_2' } }),
      (body) => ({ ...body, result: { ...body.result, uuid: '../../x' } }),
      () => 'not an envelope',
    ]
    for (const alter of answers) {
      account.emulator.faults.alter({ operation: 'databases.get', alter })
      expect((await captureError(provider.find('looked_up', neverAborted))).code).toBe('provider_unavailable')
    }
    expect(await provider.find('looked_up', neverAborted)).toEqual(locator)
  })

  test('of a statement, as are fewer results than statements', async () => {
    const provider = account.createProvider()
    const { locator } = await provider.create('rows', neverAborted)
    const client = await provider.connect(
      { locator, purpose: 'manage', verify: async () => {} },
      neverAborted,
    )
    const answers: ((body: any) => unknown)[] = [
      failed,
      (body) => ({ ...body, result: [] }),
      (body) => ({ ...body, result: [{ ...body.result[0], success: false }] }),
    ]
    for (const alter of answers) {
      account.emulator.faults.alter({ operation: 'databases.query', alter })
      expect((await captureError(client.prepare('SELECT 1').all())).code).toBe('provider_unavailable')
    }
  })

  test('of a deletion', async () => {
    const provider = account.createProvider()
    const { locator } = await provider.create('kept', neverAborted)
    account.emulator.faults.alter({ operation: 'databases.delete', alter: failed })
    expect((await captureError(provider.drop(locator, neverAborted))).code).toBe('provider_unavailable')
  })
})

test('a listing has only names that start with the prefix, although Cloudflare matches anywhere', async () => {
  const provider = account.createProvider()
  for (const name of ['shop_a', 'my_shop_a', 'shop-b']) await provider.create(name, neverAborted)
  const { databases } = await provider.list({ prefix: 'shop_' }, neverAborted)
  expect(databases.map(({ name }) => name)).toEqual(['shop_a'])
})

import { captureError } from '@tenantry/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTursoFactory } from '../src/index.ts'
import { type Account, call, startAccount, verify } from './support.ts'

let account: Account
beforeAll(async () => {
  account = await startAccount()
})
beforeEach(() => account.reset())
afterAll(() => account?.turso.close())

let serial = 0
const freshName = (): string => `tenant-fault-${serial++}`
const NOTES = { '0001_notes': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)' }

function factory(group = 'default') {
  const { organization: organizationName, apiToken } = account.turso
  const { fetch } = account
  return createTursoFactory({
    ...{ organizationName, apiToken, fetch, group, migrations: NOTES, environment: account.clock },
  })
}

const listDatabases = (name: string) => account.turso.oracle.databases().filter(({ Name }) => Name === name)

/** Provisions a tenant and checks that there is exactly one database, of which the tenant is served. */
async function provisionsOne(id: string): Promise<void> {
  const own = factory()
  await own.provision(id)
  const name = `tenant-${id}`
  expect(listDatabases(name)).toHaveLength(1)
  const { db } = await own.getAdapters(id)
  await db.insertInto('notes').values({ id: 1, body: 'kept' }).execute()
  expect(await account.turso.oracle.execute(name, 'SELECT body FROM notes')).toEqual([{ body: 'kept' }])
  const stored = await account.provider().find(name, call)
  expect(stored?.id).toBe(listDatabases(name)[0]?.DbId)
}

describe('a create whose outcome is unknown', () => {
  it.each([
    ['done, but the reply is lost', () => account.turso.faults.dropReply({ operation: 'databases.create' })],
    ['done, but answered 500', () => account.turso.faults.failAfterCommit({ operation: 'databases.create' })],
    [
      'done, but answered something else',
      () => account.turso.faults.alter({ operation: 'databases.create', alter: () => ({ ok: true }) }),
    ],
    [
      'done, but answered another name',
      () =>
        account.turso.faults.alter({
          operation: 'databases.create',
          alter: ({ database }) => ({ database: { ...database, Name: 'tenant-other' } }),
        }),
    ],
    [
      'not done, the connection cut',
      () => account.turso.faults.dropRequest({ operation: 'databases.create' }),
    ],
    [
      'not done, answered 503',
      () => account.turso.faults.fail({ operation: 'databases.create', status: 503 }),
    ],
  ])('ends in exactly one database, and is repeated only after a look-up: %s', async (_, fault) => {
    const id = `unknown-${serial++}`
    fault()
    const from = account.turso.requests.length
    await provisionsOne(id)
    const operations = account.turso.requests.slice(from).flatMap(({ operation }) => operation ?? [])
    const creates = operations.flatMap((operation, at) => (operation === 'databases.create' ? [at] : []))
    expect(operations[(creates[0] ?? 0) + 1]).toBe('databases.retrieve')
    expect(creates.length).toBeLessThanOrEqual(2)
  })

  it.each([400, 409, 422] as const)(
    'finds the existing database when the platform responds with %i',
    async (status) => {
      const name = freshName()
      const { DbId } = await account.turso.oracle.create(name)
      account.turso.faults.answerDuplicates(status)
      const { locator, created } = await account.provider().create(name, call)
      expect({ id: locator.id, created }).toEqual({ id: DbId, created: false })
    },
  )

  it('is not mistaken for a duplicate when the group does not exist: the error names the option', async () => {
    const error = await captureError(factory('nowhere').provision(`nogroup-${serial++}`))
    expect(error).toMatchObject({ code: 'provider_rejected', message: expect.stringContaining('group') })
  })

  it('leaves one database for both callers when a second one overtakes the first', async () => {
    const name = freshName()
    const hold = account.turso.faults.hold({ operation: 'databases.create', at: 'after' })
    const slow = account.provider().create(name, call)
    await hold.met()
    const quick = await account.provider().create(name, call)
    hold.remove()
    expect((await slow).locator).toEqual(quick.locator)
    expect(quick.created).toBe(false)
    expect(listDatabases(name)).toHaveLength(1)
  })
})

describe('a new database that answers 404 at first', () => {
  it('is provisioned once, as soon as it responds', async () => {
    account.turso.faults.notFoundAfterCreate({ requests: 6 })
    const from = account.count('databases.create')
    await provisionsOne(`window-${serial++}`)
    expect(account.count('databases.create')).toBe(from + 1)
  })

  it('answers requests with 503 and Retry-After, never with "not found", and is not created again', async () => {
    const id = `window-${serial++}`
    const own = factory()
    await own.provision(id)
    own.release(id)
    const from = account.count('databases.create')
    account.turso.faults.fail({ operation: 'data', database: `tenant-${id}`, status: 404, times: Infinity })
    const error = await captureError(own.getAdapters(id))
    expect(error).toMatchObject({ code: 'tenant_not_ready', status: 503, retryAfter: 2 })
    account.turso.faults.clear()
    await own.getAdapters(id)
    expect(account.count('databases.create')).toBe(from)
  })

  it('is not awaited any longer when the caller aborts', async () => {
    const name = freshName()
    account.turso.faults.notFoundAfterCreate()
    const controller = new AbortController()
    const reason = new Error('given up')
    const creating = account.provider().create(name, { signal: controller.signal })
    await expect.poll(() => account.count('data', name)).toBeGreaterThan(2)
    controller.abort(reason)
    await expect(creating).rejects.toThrow('given up')
  })
})

const FAR = 'Fri, 31 Dec 2099 23:59:59 GMT'

describe('a rate limit', () => {
  it.each(['seconds', 'http-date'] as const)('in %s is waited out without a request', async (retryAfter) => {
    const id = `limited-${serial++}`
    account.turso.faults.rateLimit({ windowMs: 40_000, retryAfter })
    const start = account.clock.now()
    const from = account.turso.requests.length
    await provisionsOne(id)
    const refused = account.turso.requests.slice(from).filter(({ status }) => status === 429)
    expect(refused).toHaveLength(1)
    expect(account.clock.now() - start).toBeGreaterThanOrEqual(39_000)
  })

  it('applies to all calls of the provider, which fail without a request', async () => {
    const provider = account.provider()
    account.turso.faults.rateLimit({ windowMs: 40_000 })
    expect(await captureError(provider.find('tenant-x', call))).toMatchObject({
      code: 'rate_limited',
      retryAfter: 40,
    })
    const from = account.turso.requests.length
    account.clock.advance(10_000)
    const second = await captureError(provider.create('tenant-y', call))
    expect(second).toMatchObject({ code: 'rate_limited', retryAfter: 30, status: 503 })
    expect(account.turso.requests).toHaveLength(from)
    account.clock.advance(30_000)
    expect(await provider.find('tenant-x', call)).toBeUndefined()
  })

  it('of years is respected for minutes; then a single call tests it', async () => {
    let answer = (): Response => new Response('{}', { status: 429, headers: { 'retry-after': FAR } })
    let sent = 0
    let gate = Promise.resolve()
    const provider = account.provider({
      async fetch() {
        sent++
        await gate
        return answer()
      },
    })
    const find = () => captureError(provider.find('tenant-x', call))
    const code = 'rate_limited'
    expect(await find()).toMatchObject({ code, retryAfter: 300 })
    account.clock.advance(299_000)
    expect(await find()).toMatchObject({ code, retryAfter: 1 })
    expect(sent).toBe(1)
    account.clock.advance(1_000)
    const again = await Promise.all([find(), find(), find()])
    expect(again).toMatchObject([{ code, retryAfter: 300 }, { code }, { code }])
    expect(sent).toBe(2)

    // The single call may never get a response.
    account.clock.advance(300_000)
    gate = new Promise(() => {})
    void provider.find('tenant-x', call)
    await expect.poll(() => sent).toBe(3)
    expect(await find()).toMatchObject({ code, retryAfter: 10 })
    gate = Promise.resolve()
    account.clock.advance(10_000)
    answer = () => Response.json({ error: 'could not find database' }, { status: 404 })
    expect(await provider.find('tenant-x', call)).toBeUndefined()
    const all = Array.from({ length: 3 }, () => provider.find('tenant-x', call))
    expect(await Promise.all(all)).toEqual([undefined, undefined, undefined])
    expect(sent).toBe(7)
  })

  it('has the same code without Retry-After, and when the database itself sends it', async () => {
    const client = await account.open(freshName())
    account.turso.faults.rateLimit({ retryAfter: 'none', windowMs: 1 })
    const error = await captureError(account.provider().find('tenant-x', call))
    expect(error).toMatchObject({ code: 'rate_limited', retryAfter: undefined })
    account.turso.faults.clear()
    account.turso.faults.rateLimit({ operation: 'data', windowMs: 5_000 })
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({
      code: 'rate_limited',
      retryAfter: 5,
    })
  })
})

describe('a delete', () => {
  it('ends only when the service no longer finds the database', async () => {
    const name = freshName()
    const provider = account.provider()
    const { locator } = await provider.create(name, call)
    account.turso.faults.staleAfterDelete({ database: name, retrievals: 5 })
    await provider.drop(locator, call)
    expect(await provider.find(name, call)).toBeUndefined()
    expect(account.count('databases.delete', name)).toBe(1)
    expect(account.count('databases.retrieve', name)).toBeGreaterThanOrEqual(7)
  })

  it.each([
    ['the reply is lost', () => account.turso.faults.dropReply({ operation: 'databases.delete' })],
    [
      'answered 500 though done',
      () => account.turso.faults.failAfterCommit({ operation: 'databases.delete' }),
    ],
    [
      'the connection is cut before',
      () => account.turso.faults.dropRequest({ operation: 'databases.delete' }),
    ],
  ])('converges when %s', async (_, fault) => {
    const id = `deleted-${serial++}`
    const own = factory()
    await own.provision(id)
    fault()
    await own.deprovision(id)
    expect(listDatabases(`tenant-${id}`)).toEqual([])
    expect(await captureError(own.getAdapters(id))).toMatchObject({ code: 'tenant_not_found' })
  })

  it('of a half-provisioned tenant leaves no database', async () => {
    const id = `half-${serial++}`
    const own = factory()
    account.turso.faults.fail({ operation: 'data', body: /INSERT INTO/, status: 400, times: Infinity })
    expect((await captureError(own.provision(id))).code).not.toBe('internal')
    expect(listDatabases(`tenant-${id}`)).toHaveLength(1)
    account.turso.faults.clear()
    await own.deprovision(id)
    expect(listDatabases(`tenant-${id}`)).toEqual([])
  })

  it('that the platform rejects is an error, and the database stays', async () => {
    const name = freshName()
    const provider = account.provider()
    const { locator } = await provider.create(name, call)
    const body = { error: `database [${name}] is protected against deletion` }
    account.answer('databases.delete', 403, body)
    expect(await captureError(provider.drop(locator, call))).toMatchObject({ code: 'provider_rejected' })
    expect(listDatabases(name)).toHaveLength(1)
  })

  it('leaves a re-created database of the same name alone', async () => {
    const name = freshName()
    const provider = account.provider()
    const { locator } = await provider.create(name, call)
    await account.turso.oracle.destroy(name)
    const { DbId } = await account.turso.oracle.create(name)
    await provider.drop(locator, call)
    expect(listDatabases(name)).toMatchObject([{ DbId }])
    expect(account.count('databases.delete', name)).toBe(0)
  })
})

describe('a response of the platform', () => {
  it.each([
    [401, { error: 'could not parse jwt id' }, 'credentials_rejected'],
    [403, { error: 'forbidden' }, 'credentials_rejected'],
    [402, { error: 'payment required' }, 'quota_exceeded'],
    [403, { error: 'x', code: 'feature_not_available_for_starter_plan' }, 'quota_exceeded'],
    [400, { error: 'invalid database name' }, 'provider_rejected'],
    [500, { error: 'oops' }, 'provider_unavailable'],
    [502, '<html>', 'provider_unavailable'],
    [404, '<html>a proxy</html>', 'provider_rejected'],
    [404, { error: 'could not find organization [x]: record not found' }, 'provider_rejected'],
    [404, { error: 'group not found' }, 'provider_rejected'],
  ] as const)('with status %i and body %j is %s, never "not found"', async (status, body, code) => {
    account.answer('databases.retrieve', status, body)
    expect(await captureError(account.provider().find('tenant-x', call))).toMatchObject({ code })
  })

  it.each(['tenant-age-group', 'tenant-organization', 'tenant-floor-plan', 'tenant-quota', 'tenant-protect'])(
    'is read without the database name in its text (%s)',
    async (name) => {
      const provider = account.provider()
      for (const named of [name, `[${name}]`, `"${name}"`]) {
        account.answer('databases.retrieve', 404, {
          error: `could not find database with name ${named}: record not found`,
        })
        expect(await provider.find(name, call), named).toBeUndefined()
        account.answer('databases.retrieve', 403, { error: `database ${named} is not yours` })
        expect(await captureError(provider.find(name, call))).toMatchObject({ code: 'credentials_rejected' })
      }
      account.answer('databases.create', 403, { error: `database ${name} is not yours` })
      expect(await captureError(provider.create(name, call))).toMatchObject({ code: 'credentials_rejected' })
      for (const error of ['group not found', `no organization [x] for ${name}`]) {
        account.answer('databases.retrieve', 404, { error })
        expect(await captureError(provider.find(name, call))).toMatchObject({ code: 'provider_rejected' })
      }
    },
  )

  it.each([
    ['no database', {}],
    ['another database', { database: { Name: 'tenant-other', DbId: 'x', Hostname: 'x.turso.io' } }],
    ['no id', { database: { Name: 'tenant-x', Hostname: 'x.turso.io' } }],
    ['an id that is a path', { database: { Name: 'tenant-x', DbId: '../x', Hostname: 'x.turso.io' } }],
    ['an empty list', []],
  ])('with status 200 and %s is an error', async (_, body) => {
    account.answer('databases.retrieve', 200, body)
    const error = await captureError(account.provider().find('tenant-x', call))
    expect(error).toMatchObject({ code: 'provider_unavailable' })
  })

  it('with status 200 and an invalid token is an error', async () => {
    const name = freshName()
    const { DbId: id, Hostname: hostname } = await account.turso.oracle.create(name)
    for (const body of [{}, { jwt: '' }, { jwt: 7 }, { jwt: 'line\r\nbreak-line-break' }]) {
      account.answer('tokens.create', 200, body)
      const connecting = account
        .provider()
        .connect({ locator: { name, id, hostname }, purpose: 'manage', verify }, call)
      expect(await captureError(connecting)).toMatchObject({ code: 'provider_unavailable' })
    }
  })

  it('that repeats the same page is an error, not an endless loop', async () => {
    const body = { databases: [], pagination: { next: 'same' } }
    account.answer('databases.list', 200, body, 2)
    const provider = account.provider()
    const { cursor } = await provider.list({ prefix: 'tenant-' }, call)
    const again = provider.list({ prefix: 'tenant-', cursor: cursor ?? '' }, call)
    expect(await captureError(again)).toMatchObject({ code: 'provider_unavailable' })
  })
})

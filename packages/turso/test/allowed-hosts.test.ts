import { captureError } from '@tenantry/test-support'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createTursoFactory, createTursoProvider } from '../src/index.ts'
import { type Account, call, startAccount, verify } from './support.ts'

let account: Account
beforeAll(async () => {
  account = await startAccount()
})
afterEach(() => account.reset())
afterAll(() => account?.turso.close())

interface Sent {
  readonly host: string
  readonly authorization: string | null
}

/** A fetch that notes where each credential goes. */
function recording() {
  const sent: Sent[] = []
  const fetch = async (input: Request | URL | string, init?: RequestInit): Promise<Response> => {
    const { host } = new URL(input instanceof Request ? input.url : input)
    const headers = input instanceof Request ? input.headers : new Headers(init?.headers)
    sent.push({ host, authorization: headers.get('authorization') })
    return account.fetch(input, init)
  }
  return { sent, fetch }
}

const HOSTILE_HOSTS: unknown[] = [
  'evil.com',
  'evilturso.io',
  'turso.io',
  '.turso.io',
  'x.turso.io.evil.com',
  'x.turso.io:8080',
  'user@x.turso.io',
  'user:pass@x.turso.io',
  'evil.com/x.turso.io',
  'evil.com#x.turso.io',
  'evil.com?x.turso.io',
  'evil.com\\x.turso.io',
  'x.turso.io/v2',
  'x..turso.io',
  '-x.turso.io',
  'x_y.turso.io',
  'x.turso.io.',
  ' x.turso.io',
  'x.turso.io\n',
  'x.turso.io\0.evil.com',
  'xn--/evil.turso.io',
  'ｅvil.turso.io',
  'ev%69l.turso.io',
  '[::1].turso.io',
  '127.0.0.1',
  '//evil.com/.turso.io',
  'https://x.turso.io',
  '',
  null,
  7,
  ['x.turso.io'],
  `${'a'.repeat(64)}.turso.io`,
  `${'a.'.repeat(130)}turso.io`,
]

describe('a platform that returns a false host of a database', () => {
  it.each(HOSTILE_HOSTS)('cannot make the provider send a token to %j', async (Hostname) => {
    const { sent, fetch } = recording()
    const { organization: organizationName, apiToken } = account.turso
    const provider = createTursoProvider({ organizationName, apiToken, fetch, environment: account.clock })
    const name = 'tenant-lied'
    const database = { Name: name, DbId: 'an-id', Hostname }
    account.answer('databases.create', 200, { database })
    account.answer('databases.retrieve', 200, { database }, Infinity)
    const locator = { name, id: 'an-id', hostname: Hostname as string }
    const works = [
      () => provider.create(name, call),
      () => provider.find(name, call),
      () => provider.connect({ locator, purpose: 'manage', verify }, call),
      () => provider.drop(locator, call),
    ]
    for (const work of works) expect(await captureError(work())).toMatchObject({ code: 'provider_rejected' })
    expect(new Set(sent.map(({ host }) => host))).toEqual(new Set(['api.turso.tech']))
  })
})

describe('credentials', () => {
  it('go to their own host only: the platform token to the platform, a database token to its database', async () => {
    const { sent, fetch } = recording()
    const { organization: organizationName, apiToken } = account.turso
    const factory = createTursoFactory({
      ...{ organizationName, apiToken, fetch, environment: account.clock },
      migrations: { '0001_notes': 'CREATE TABLE notes (id INTEGER)' },
    })
    for (const id of ['host-a', 'host-b']) {
      await factory.provision(id)
      await (await factory.getAdapters(id)).db.transaction().execute(async (trx) => {
        await trx.insertInto('notes').values({ id: 1 }).execute()
      })
    }
    await factory.deprovision('host-a')

    const platform = `Bearer ${apiToken}`
    const byToken = new Map<string, Set<string>>()
    for (const { host, authorization } of sent) {
      const token = String(authorization)
      byToken.set(token, (byToken.get(token) ?? new Set()).add(host))
    }
    expect([...(byToken.get(platform) ?? [])]).toEqual(['api.turso.tech'])
    byToken.delete(platform)
    expect(byToken.size).toBeGreaterThanOrEqual(2)
    for (const hosts of byToken.values()) {
      expect(hosts.size).toBe(1)
      expect([...hosts][0]).toMatch(/^tenant-host-[ab]-tenantry\.[a-z0-9-]+\.turso\.io$/)
    }
    expect(account.turso.requests.filter(({ plane }) => plane === 'foreign')).toEqual([])
  })

  it('do not follow a database that redirects a transaction to another host', async () => {
    const { sent, fetch } = recording()
    const { organization: organizationName, apiToken } = account.turso
    let lying = false
    const provider = createTursoProvider({
      ...{ organizationName, apiToken, environment: account.clock },
      async fetch(input, init) {
        const response = await fetch(input, init)
        if (!lying) return response
        return Response.json({ ...((await response.json()) as object), base_url: 'https://evil.com' })
      },
    })
    const client = await account.open('tenant-moving', provider)
    lying = true
    const transaction = await client.transaction('write')
    await transaction.execute('SELECT 1')
    expect(await captureError(transaction.execute('SELECT 2'))).toMatchObject({ code: 'provider_rejected' })
    transaction.close()
    expect(sent.some(({ host }) => host === 'evil.com')).toBe(false)
  })

  it.each([
    [301, 'platform'],
    [307, 'platform'],
    [308, 'data'],
    [302, 'data'],
  ] as const)('do not follow a redirect with status %i from the %s plane', async (status, plane) => {
    const hosts: string[] = []
    const { organization: organizationName, apiToken } = account.turso
    let redirecting = false
    const provider = createTursoProvider({
      ...{ organizationName, apiToken, environment: account.clock },
      fetch: async (input, init) => {
        const { host } = new URL(input instanceof Request ? input.url : input)
        hosts.push(host)
        expect(init?.redirect).toBe('manual')
        if (!redirecting || (host === 'api.turso.tech') !== (plane === 'platform')) {
          return account.turso.fetch(input, init)
        }
        return new Response(null, { status, headers: { location: 'https://evil.com/' } })
      },
    })
    const client = await account.open(`tenant-redirect-${status}`, provider)
    redirecting = true
    const work = plane === 'data' ? client.execute('SELECT 1') : provider.find('tenant-x', call)
    expect(await captureError(work as Promise<unknown>)).toMatchObject({
      code: 'provider_rejected',
      message: expect.stringContaining('redirect'),
    })
    expect(hosts).not.toContain('evil.com')
  })
})

describe('hostile tenant ids', () => {
  it.each([
    'evil.com/x',
    'user@evil.com/',
    'evil.com:8080/',
    '../../other-org/databases/x',
    '..',
    '%2e%2e%2fx',
    'a b',
    'a\0b',
    'a\r\nx-header: 1',
    'A',
    'ä',
    'a--b',
    '',
    'a'.repeat(64),
    '?group=x',
    '#',
  ])('are rejected before any request is sent: %j', async (id) => {
    const { sent, fetch } = recording()
    const { organization: organizationName, apiToken } = account.turso
    const factory = createTursoFactory({ organizationName, apiToken, fetch, environment: account.clock })
    for (const member of ['provision', 'getAdapters', 'deprovision'] as const) {
      expect(await captureError(factory[member](id))).toMatchObject({ code: 'invalid_tenant_id' })
    }
    expect(sent).toEqual([])
  })

  it('are rejected as names and locators too, without the core', async () => {
    const { sent, fetch } = recording()
    const { organization: organizationName, apiToken } = account.turso
    const provider = createTursoProvider({ organizationName, apiToken, fetch, environment: account.clock })
    for (const name of ['../x', '..', '', 'a/b', 'a%2fb', 'a?b', 'A', 'a\0', 'a'.repeat(64)]) {
      const locator = { name, id: 'x', hostname: 'x.turso.io' }
      const works = [
        () => provider.create(name, call),
        () => provider.find(name, call),
        () => provider.connect({ locator, purpose: 'manage', verify }, call),
        () => provider.drop(locator, call),
      ]
      for (const work of works) expect(await captureError(work())).toMatchObject({ code: 'internal' })
    }
    expect(sent).toEqual([])
  })
})

describe('options', () => {
  const good = { organizationName: 'acme', apiToken: 'secret-token' }
  it.each([
    ['organizationName', { organizationName: '../x' }],
    ['organizationName', { organizationName: '' }],
    ['organizationName', { organizationName: undefined }],
    ['apiToken', { apiToken: '' }],
    ['apiToken', { apiToken: undefined }],
    ['apiToken', { apiToken: 'with\nnewline' }],
    ['group', { group: 'a/b' }],
    ['baseUrl', { baseUrl: 'http://api.turso.tech' }],
    ['baseUrl', { baseUrl: 'nonsense' }],
    ['allowedHosts', { allowedHosts: [] }],
    ['allowedHosts', { allowedHosts: ['*'] }],
    ['allowedHosts', { allowedHosts: ['*.io'] }],
    ['allowedHosts', { allowedHosts: ['turso.io:443'] }],
    ['allowedHosts', { allowedHosts: ['https://x.turso.io'] }],
    ['requestTimeout', { requestTimeout: 0 }],
    ['requestTimeout', { requestTimeout: Number.NaN }],
    ['requestTimeout', { requestTimeout: '1' }],
  ])('reject an invalid %s at construction: %j', (option, wrong) => {
    const options = { ...good, ...wrong } as typeof good
    expect(() => createTursoProvider(options)).toThrow(new RegExp(`^\\[config_invalid\\] ${option}:`))
  })

  it.each([Infinity, 2 ** 31, 2 ** 33, 1_500.5])('accept a requestTimeout of %d', async (requestTimeout) => {
    const client = await account.open('tenant-patient', account.provider({ requestTimeout }))
    const hold = account.turso.faults.hold({ operation: 'data', database: 'tenant-patient' })
    const running = client.execute('SELECT 1 AS one')
    await hold.met()
    await new Promise((resolve) => setTimeout(resolve, 10))
    hold.remove()
    expect((await running).rows[0]?.one).toBe(1)
  })

  it('accept allowed hosts outside turso.io', async () => {
    const own = { ...good, allowedHosts: ['db.internal.example', '*.libsql.example'] }
    const database = (Hostname: string) => ({ database: { Name: 'tenant-x', DbId: 'x', Hostname } })
    for (const [host, fine] of [
      ['db.internal.example', true],
      ['a.libsql.example', true],
      ['a.db.internal.example', false],
      ['x.turso.io', false],
    ] as const) {
      const provider = createTursoProvider({ ...own, fetch: async () => Response.json(database(host)) })
      const isFound = provider.find('tenant-x', call).then(
        () => true,
        () => false,
      )
      expect(await isFound, host).toBe(fine)
    }
  })

  it("leave names the characters that the organization's slug does not need", () => {
    for (const organizationName of ['a', 'tenantry', 'a'.repeat(30)]) {
      const { naming } = createTursoProvider({ ...good, organizationName })
      expect(naming).toEqual({ maxLength: 62 - organizationName.length, separator: '-' })
    }
  })
})

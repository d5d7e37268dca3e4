import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createTursoProvider } from '../src/index.ts'
import { type Account, call, startAccount, verify } from './support.ts'

const CANARY = 'canary-platform-token-4f1d/9a+c='
const CONSOLE = ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const

let account: Account
const tokens = new Set<string>([CANARY])
const printed: unknown[] = []

beforeAll(async () => {
  account = await startAccount({ apiToken: CANARY })
  for (const method of CONSOLE) {
    vi.spyOn(console, method).mockImplementation((...line) => void printed.push(...line))
  }
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      printed.push(String(text))
      return true
    })
  }
})
afterEach(() => account.reset())
afterAll(async () => {
  vi.restoreAllMocks()
  await account?.turso.close()
})

/** Every token that leaves this process, as a header, is one that may not show. */
const watching: Account['fetch'] = async (input, init) => {
  const headers = input instanceof Request ? input.headers : new Headers(init?.headers)
  const token = headers.get('authorization')?.replace('Bearer ', '')
  if (token !== undefined) tokens.add(token)
  return account.fetch(input, init)
}

/** The secret as it is, in base64 (at every alignment) and URL-encoded. */
function encodeSecret(secret: string): string[] {
  const base64 = ['', ' ', '  '].map((before) => {
    const text = Buffer.from(before + secret).toString('base64')
    return text.slice(before === '' ? 0 : 4, -4)
  })
  return [secret, encodeURIComponent(secret), encodeURI(secret), ...base64]
}

function toFullText(value: unknown): string {
  const chain: unknown[] = []
  for (let at: unknown = value, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    chain.push(at.message, at.stack, at.name, Object.entries(at), JSON.stringify(at))
  }
  return [
    inspect(value, { depth: 10, showHidden: true, getters: true }),
    JSON.stringify(value),
    String(value),
    ...chain.map((part) => inspect(part, { depth: 10 })),
  ].join('\n')
}

function expectNoSecret(value: unknown, where: string): void {
  const text = toFullText(value)
  for (const secret of tokens) {
    for (const form of encodeSecret(secret)) expect(text.includes(form), `${where}: ${text}`).toBe(false)
  }
}

/** Calls every member and checks each error that it throws. */
async function exercise(name: string, where: string, fault: () => void): Promise<number> {
  const { organization: organizationName, apiToken } = account.turso
  const createWatched = () =>
    createTursoProvider({ organizationName, apiToken, fetch: watching, environment: account.clock })
  const provider = createWatched()
  const { DbId: id, Hostname: hostname } = await account.turso.oracle.create(name)
  const locator = { name, id, hostname }
  const client = await provider.connect({ locator, purpose: 'manage', verify }, call)
  fault()
  const signal = AbortSignal.timeout(2_000)
  const works: Record<string, () => Promise<unknown>> = {
    connect: () => createWatched().connect({ locator, purpose: 'manage', verify }, call),
    create: () => provider.create(`${name}-new`, { signal }),
    createTaken: () => provider.create(name, { signal }),
    find: () => provider.find(name, { signal }),
    list: () => provider.list({ prefix: name }, { signal }),
    execute: () => client.execute('SELECT * FROM missing'),
    batch: () => client.batch(['SELECT * FROM missing'], 'write'),
    executeMultiple: () => client.executeMultiple('nonsense'),
    async transaction() {
      const transaction = await client.transaction('write')
      await transaction.execute('SELECT 1')
      await transaction.execute('SELECT * FROM missing')
    },
    kysely: () => provider.kysely(client).selectFrom('missing').selectAll().execute(),
    drop: () => provider.drop(locator, { signal }),
  }
  let failures = 0
  for (const [member, work] of Object.entries(works)) {
    await work().catch((error: unknown) => {
      failures++
      expectNoSecret(error, `${where}: ${member}`)
      expectNoSecret(provider.mapError(error), `${where}: mapError of ${member}`)
      expectNoSecret(provider.mapError(error).toJSON(), `${where}: JSON of ${member}`)
    })
  }
  expectNoSecret(provider, `${where}: the provider`)
  expectNoSecret(client, `${where}: the client`)
  account.reset()
  return failures
}

const both = (add: (operation: 'platform' | 'data') => unknown): void => {
  add('platform')
  add('data')
}

describe('no error, log line or object shows a token', () => {
  it.each<[string, () => void]>([
    ['sent without faults', () => {}],
    [
      'cut before it arrives',
      () => both((operation) => account.turso.faults.dropRequest({ operation, times: Infinity })),
    ],
    [
      'cut after it was carried out',
      () => both((operation) => account.turso.faults.dropReply({ operation, times: Infinity })),
    ],
    ...([401, 403, 404, 429, 500, 502] as const).map((status): [string, () => void] => [
      `answered ${status}`,
      () => both((operation) => account.turso.faults.fail({ operation, status, times: Infinity })),
    ]),
    [
      'answered 500 though done',
      () => both((operation) => account.turso.faults.failAfterCommit({ operation, times: Infinity })),
    ],
    ['rate limited', () => both((operation) => account.turso.faults.rateLimit({ operation, windowMs: 1 }))],
    ['sent with an expired token', () => void account.turso.faults.expireTokens({ times: Infinity })],
    ['answered 404 after the creation', () => void account.turso.faults.notFoundAfterCreate()],
    ['answered by a stale service after the deletion', () => void account.turso.faults.staleAfterDelete()],
  ])('when a request is %s', async (where, fault) => {
    const failures = await exercise(`tenant-secret-${where.replaceAll(/[^a-z0-9]/g, '')}`, where, fault)
    expect(failures).toBeGreaterThan(0)
  })

  it.each([
    ['in an error text', (token: string) => ({ error: `bad token ${token}` })],
    ['URL-encoded in an error text', (token: string) => ({ error: `bad ?t=${encodeURIComponent(token)}` })],
    ['as a code', (token: string) => ({ error: 'x', code: token })],
    ['as a database', (token: string) => ({ database: { Name: token, DbId: token, Hostname: token } })],
  ])('when the platform repeats it: %s', async (where, body) => {
    const fault = (): void => {
      for (const operation of ['databases.create', 'databases.retrieve', 'databases.list'] as const) {
        for (const status of [200, 400, 401, 404, 500]) account.answer(operation, status, body(CANARY))
      }
    }
    const name = `tenant-echo-${where.replaceAll(/[^a-z0-9]/g, '')}`.slice(0, 40)
    expect(await exercise(name, where, fault)).toBeGreaterThan(0)
  })

  it.each([
    ['throws the token', (token: string) => new Error(`connect failed with ${token}`)],
    [
      'throws the request',
      (token: string) =>
        Object.assign(new TypeError('failed'), { request: { headers: { authorization: token } } }),
    ],
    [
      'throws causes',
      (token: string) => new Error('a', { cause: new Error('b', { cause: new Error(token) }) }),
    ],
    ['throws a text', (token: string) => token],
  ])('when fetch %s', async (where, thrown) => {
    const { organization: organizationName, apiToken } = account.turso
    const name = `tenant-thrown-${where.replaceAll(/[^a-z0-9]/g, '')}`
    const { DbId: id, Hostname: hostname } = await account.turso.oracle.create(name)
    let failing = false
    const provider = createTursoProvider({
      ...{ organizationName, apiToken, environment: account.clock },
      async fetch(input, init) {
        const headers = input instanceof Request ? input.headers : new Headers(init?.headers)
        const token = headers.get('authorization')?.slice(7) ?? ''
        tokens.add(token)
        if (failing) throw thrown(token)
        return account.fetch(input, init)
      },
    })
    const client = await provider.connect(
      { locator: { name, id, hostname }, purpose: 'manage', verify },
      call,
    )
    failing = true
    for (const work of [() => provider.find(name, call), () => client.execute('SELECT 1')]) {
      const error = await Promise.resolve(work()).catch((error: unknown) => error)
      expect(error).toMatchObject({ code: 'provider_unavailable' })
      expectNoSecret(error, where)
    }
  })

  it('when a database repeats it in an SQL error', async () => {
    const { organization: organizationName, apiToken } = account.turso
    const name = 'tenant-sql-echo'
    let lying = false
    const provider = createTursoProvider({
      ...{ organizationName, apiToken, environment: account.clock },
      async fetch(input, init) {
        const token = input instanceof Request ? input.headers.get('authorization')?.slice(7) : undefined
        if (!lying || token === undefined) return account.fetch(input, init)
        tokens.add(token)
        const error = { type: 'error', error: { message: `no such table: ${token}`, code: 'SQLITE_ERROR' } }
        return Response.json({ baton: null, base_url: null, results: [error, error] })
      },
    })
    const client = await account.open(name, provider)
    lying = true
    const error = await client.execute('SELECT 1').catch((error: unknown) => error)
    expect(error).toBeInstanceOf(Error)
    expect(String(error)).toContain('no such table')
    expectNoSecret(error, 'an SQL error')
  })

  it('when a token is longer than the text that an error keeps', async () => {
    const token = `eyJhbGciOiJFZERTQSJ9.${'canary-payload-'.repeat(30)}.signature`
    const provider = account.provider({ apiToken: token })
    const texts = [
      `invalid token: ${token}`,
      `${'x'.repeat(280)} ${token}`,
      `bad ?t=${encodeURIComponent(token)}`,
    ]
    for (const error of texts) {
      account.answer('databases.retrieve', 401, { error })
      const refused = await provider.find('tenant-x', call).catch((error: unknown) => error)
      expect(refused).toMatchObject({ code: 'credentials_rejected' })
      expect(toFullText(refused)).not.toContain('canary')
    }
  })

  it('after more database tokens than the redactor remembers', async () => {
    const { organization: organizationName } = account.turso
    let minted = 0
    let echoing = false
    const provider = createTursoProvider({
      ...{ organizationName, apiToken: CANARY, environment: account.clock },
      async fetch(input, init) {
        const { pathname } = new URL(input instanceof Request ? input.url : input)
        const bearer = new Headers(init?.headers).get('authorization')
        if (echoing) return Response.json({ error: `invalid token: ${bearer}` }, { status: 401 })
        if (pathname.endsWith('/auth/tokens'))
          return Response.json({ jwt: `token-number-${minted++}-of-many` })
        const name = pathname.split('/').at(-1)
        return Response.json({ database: { Name: name, DbId: `id-${name}`, Hostname: `${name}.turso.io` } })
      },
    })
    for (let at = 0; at < 2_500; at++) {
      const locator = { name: `tenant-${at}`, id: `id-tenant-${at}`, hostname: `tenant-${at}.turso.io` }
      await provider.connect({ locator, purpose: 'manage', verify }, call)
    }
    expect(minted).toBe(2_500)
    echoing = true
    const error = await provider.find('tenant-x', call).catch((error: unknown) => error)
    expect(String(error)).toContain('invalid token: Bearer [redacted]')
    expectNoSecret(error, 'after many tokens')
  })

  it('in the error of an invalid option', () => {
    const { organization: organizationName } = account.turso
    for (const wrong of [{ apiToken: `${CANARY}\n` }, { apiToken: CANARY, baseUrl: `http://x/${CANARY}` }]) {
      try {
        createTursoProvider({ organizationName, ...wrong })
        expect.unreachable()
      } catch (error) {
        expectNoSecret(error, 'options')
      }
    }
  })

  it('and nothing is printed', () => {
    const text = inspect(printed, { depth: 10, maxArrayLength: Infinity, maxStringLength: Infinity })
    expect(tokens.size).toBeGreaterThan(5)
    for (const secret of tokens) for (const form of encodeSecret(secret)) expect(text).not.toContain(form)
  })
})

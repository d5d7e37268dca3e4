import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createMultiTenancyMiddleware } from '../../src/request/multi-tenancy.ts'
import { fromClaim } from '../../src/request/resolvers/claim.ts'
import { fromCookie } from '../../src/request/resolvers/cookie.ts'
import { fromHost } from '../../src/request/resolvers/custom-host.ts'
import { fromHeader } from '../../src/request/resolvers/header.ts'
import { fromPath } from '../../src/request/resolvers/path.ts'
import type { TenantResolver } from '../../src/request/resolvers/resolver.ts'
import { fromSubdomain } from '../../src/request/resolvers/subdomain.ts'
import { RESERVED_TENANT_IDS } from '../../src/tenant-id.ts'
import { HOSTILE_IDS } from '../hostile-ids.ts'
import { createTestDatabases, ownerApp, payloadFromHeader } from '../middleware/test-databases.ts'
import { get, listen, type RawServer, utf8 } from './socket.ts'

/**
 * Every channel a tenant id can come in by, and every string that has fooled some library once. Each request
 * must be served as the very tenant it spells, or refused with a code before any database is asked for.
 * The app lets everyone in, so nothing but the resolvers stands between a request and `main` or `victim`.
 */
const trustedProxy = () => true
const strings = [
  ...HOSTILE_IDS.filter((id) => typeof id === 'string' && id.length < 10_000).map(String),
  ...RESERVED_TENANT_IDS,
  'acme..', 'acme,victim', 'acme, victim', 'victim\t', 'main.', 'MAIN', 'main%2e', 'xn--cme-sna', 'acme:80', 'cafe\u0301', 'café',
] // biome-ignore format: a corpus
const known = ['acme', 'victim', 'main', 'constructor', 'tostring']
const CODES = [
  'invalid_tenant_id',
  'tenant_unresolved',
  'tenant_ambiguous',
  'invalid_request',
  'tenant_not_found',
]

const testDatabases = createTestDatabases(known)
const appWith = (resolver: TenantResolver) =>
  ownerApp((app) => {
    payloadFromHeader(app)
    app.use(
      createMultiTenancyMiddleware({
        databaseIsolation: testDatabases.databaseIsolation,
        resolvers: [resolver],
        accessControl: { controlPlaneTenantId: 'main', authorize: () => true },
      }),
    )
  })

beforeEach(() => {
  testDatabases.requestedTenants.length = 0
})

/** `spelt`: the tenant id the request says in so many letters, if it says one. */
function check({ status, body }: { status: number; body: string }, spelt: string | undefined): void {
  if (status === 200) {
    expect(spelt).toBe(body)
    expect(testDatabases.requestedTenants).toEqual([spelt])
    return
  }
  expect(status).toBeGreaterThanOrEqual(400)
  expect(status).toBeLessThan(500)
  expect(testDatabases.requestedTenants.filter((id) => id !== spelt)).toEqual([])
  // Without a body it is the server that refused it, before the app.
  if (body !== '') expect(CODES).toContain(JSON.parse(body).code)
}

const sent = async (response: Response | Promise<Response>) => ({
  status: (await response).status,
  body: await (await response).text(),
})

describe('through app.request', () => {
  const channels: [
    string,
    TenantResolver,
    (value: string) => [url: string, headers: Record<string, string>],
  ][] = [
    ['subdomain', fromSubdomain({ baseDomain: 'example.com' }), (v) => [`http://${v}.example.com/`, {}]],
    ['path', fromPath({ prefix: '/t' }), (v) => [`http://example.com/t/${v}`, {}]],
    ['header', fromHeader({ trustedProxy }), (v) => ['http://example.com/', { 'x-tenant-id': v }]],
    [
      'cookie',
      fromCookie({ name: 'tenant', trustedProxy }),
      (v) => ['http://example.com/', { cookie: `tenant=${v}` }],
    ],
    [
      'forwarded host',
      fromSubdomain({ baseDomain: 'example.com', forwardedHost: true, trustedProxy }),
      (v) => ['http://example.com/', { 'x-forwarded-host': `${v}.example.com` }],
    ],
    [
      'custom host',
      fromHost({ domains: async (host) => host.split('.')[0] }),
      (v) => [`http://${v}.org/`, {}],
    ],
  ]

  test.each(channels)('every hostile %s is itself or refused', async (channel, resolver, request) => {
    const app = appWith(resolver)
    let answered = 0
    for (const value of strings) {
      testDatabases.requestedTenants.length = 0
      const [url, headers] = request(value)
      // What the platform refuses to build cannot arrive; what it rewrites arrives as it rewrote it.
      const built = build(url, headers)
      if (built === undefined) continue
      answered += 1
      check(await sent(app.request(built)), spelt(channel, built))
    }
    expect(answered).toBeGreaterThan(strings.length / 3)
  })

  test('every hostile claim is itself or refused', async () => {
    const app = appWith(fromClaim())
    const claims: unknown[] = [
      ...strings,
      0,
      1,
      true,
      false,
      null,
      {},
      [],
      ['acme'],
      { toString: 'acme' },
      [[]],
    ]
    for (const claim of claims) {
      testDatabases.requestedTenants.length = 0
      const headers = { 'x-test-payload': escaped({ tenant_id: claim }) }
      check(await sent(app.request('/', { headers })), typeof claim === 'string' ? claim : undefined)
    }
  })
})

describe('through a socket', () => {
  const host = fromSubdomain({ baseDomain: 'example.com' })
  let byHost: RawServer
  let byPath: RawServer
  let byHeader: RawServer
  let byCookie: RawServer
  let byForwarded: RawServer
  beforeAll(async () => {
    byHost = await listen(appWith(host))
    byPath = await listen(appWith(fromPath({ prefix: '/t' })))
    byHeader = await listen(appWith(fromHeader({ trustedProxy })))
    byCookie = await listen(appWith(fromCookie({ name: 'tenant', trustedProxy })))
    byForwarded = await listen(
      appWith(fromSubdomain({ baseDomain: 'example.com', forwardedHost: true, trustedProxy })),
    )
  })
  afterAll(async () => {
    for (const server of [byHost, byPath, byHeader, byCookie, byForwarded]) await server.close()
  })

  test.each(strings)('%j is itself or refused', async (value) => {
    const bytes = utf8(value)
    const trimmed = value.replace(/^[ \t\n]+|[ \t\n]+$/g, '')
    const label = trimmed.toLowerCase()
    const inHost = isLabel(value.replace(/^[ \t]+/, '')) ? label : undefined
    for (const [server, request, expected] of [
      [byHost, get('/', `Host: ${bytes}.example.com`), inHost],
      [byHost, get(`http://${bytes}.example.com/`, `Host: ${bytes}.example.com`), inHost],
      [byHost, get(`http://${bytes}.example.com/`, 'Host: example.com'), undefined],
      [
        byForwarded,
        get('/', 'Host: internal', `X-Forwarded-Host: ${bytes}.example.com`),
        isLabel(trimmed) ? label : undefined,
      ],
      [
        byPath,
        get(`/t/${bytes}`, 'Host: example.com'),
        new URL(`http://x/t/${bytes}`).pathname.split('/')[2],
      ],
      [byHeader, get('/', 'Host: example.com', `X-Tenant-Id: ${bytes}`), trimmed],
      [byCookie, get('/', 'Host: example.com', `Cookie: tenant=${bytes}`), trimmed],
    ] as const) {
      testDatabases.requestedTenants.length = 0
      check(await server.send(request), expected)
    }
  })

  test.each([
    ['an absolute target of another host', get('http://victim.example.com/', 'Host: acme.example.com')],
    ['an absolute target with user info', get('http://victim@acme.example.com/', 'Host: acme.example.com')],
    [
      'user info in the target and in Host',
      get('http://u@victim.example.com/', 'Host: u@victim.example.com'),
    ],
    ['two Host headers', get('/', 'Host: acme.example.com', 'Host: victim.example.com')],
    ['two Host headers that agree', get('/', 'Host: acme.example.com', 'Host: acme.example.com')],
    ['a list in Host', get('/', 'Host: acme.example.com, victim.example.com')],
    ['no Host', get('/')],
    ['an empty Host', get('/', 'Host:')],
    ['an empty Host and an absolute target', get('http://victim.example.com/', 'Host:')],
    ['no tenant in Host', get('/', 'Host: example.com')],
    ['a host that only ends alike', get('/', 'Host: victimexample.com')],
    ['a host that goes on', get('/', 'Host: victim.example.com.evil.com')],
    ['two labels', get('/', 'Host: acme.victim.example.com')],
    [
      'a forwarded host that no option trusts',
      get('/', 'Host: example.com', 'X-Forwarded-Host: victim.example.com'),
    ],
    ['an encoded host', get('/', 'Host: %76ictim.example.com')],
    ['a backslash', get('/', 'Host: evil.com\\victim.example.com')],
    ['a folded header', get('/', 'Host: acme.example.com', ' victim.example.com')],
    ['a header that smuggles one in', get('/', 'Host: example.com\rHost: victim.example.com')],
  ])('%s reaches no database', async (_, request) => {
    const { status, body } = await byHost.send(request)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
    expect(testDatabases.requestedTenants).toEqual([])
    if (body !== '') expect(CODES).toContain(JSON.parse(body).code)
  })

  test.each([
    [
      'two forwarded hosts',
      get('/', 'Host: i', 'X-Forwarded-Host: acme.example.com', 'X-Forwarded-Host: victim.example.com'),
    ],
    [
      'a list of forwarded hosts',
      get('/', 'Host: i', 'X-Forwarded-Host: acme.example.com, victim.example.com'),
    ],
    ['an empty forwarded host', get('/', 'Host: i', 'X-Forwarded-Host:')],
  ])('%s reaches no database', async (_, request) => {
    expect((await byForwarded.send(request)).status).toBe(400)
    expect(testDatabases.requestedTenants).toEqual([])
  })

  test('the plain ways in work', async () => {
    const ok = (body: string) => ({ status: 200, body })
    expect(await byHost.send(get('/', 'Host: acme.example.com'))).toEqual(ok('acme'))
    expect(await byHost.send(get('/', 'Host: Acme.Example.com.:8080'))).toEqual(ok('acme'))
    expect(await byHost.send(get('http://acme.example.com/', 'Host: ACME.example.com:80'))).toEqual(
      ok('acme'),
    )
    expect(await byPath.send(get('/t/acme/x', 'Host: example.com'))).toEqual(ok('acme'))
    expect(await byHeader.send(get('/', 'Host: i', 'X-Tenant-Id: acme'))).toEqual(ok('acme'))
    expect(await byCookie.send(get('/', 'Host: i', 'Cookie: tenant=acme'))).toEqual(ok('acme'))
    expect(await byForwarded.send(get('/', 'Host: i', 'X-Forwarded-Host: acme.example.com'))).toEqual(
      ok('acme'),
    )
  })
})

function isLabel(value: string): boolean {
  return /^[a-zA-Z0-9-]+$/.test(value)
}

function build(url: string, headers: Record<string, string>): Request | undefined {
  try {
    return new Request(url, { headers })
  } catch {
    return undefined
  }
}

/** What a built request says in so many letters, read in another way than the resolvers read it. */
function spelt(channel: string, request: Request): string | undefined {
  const { hostname, pathname } = new URL(request.url)
  switch (channel) {
    case 'subdomain':
      return hostname.endsWith('.example.com') ? hostname.slice(0, -'.example.com'.length) : undefined
    case 'custom host':
      return hostname.split('.')[0]
    case 'path':
      return pathname.split('/')[2]
    case 'header':
      return request.headers.get('x-tenant-id') ?? undefined
    case 'cookie':
      return request.headers
        .get('cookie')
        ?.slice('tenant='.length)
        .replace(/^[ \t]+/, '')
    default:
      return request.headers.get('x-forwarded-host')?.toLowerCase().split('.')[0]
  }
}

/** JSON that fits a header: everything beyond ASCII escaped. */
function escaped(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^ -~]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

import { describe, expect, test } from 'vitest'
import { fromHost } from '../../src/request/resolvers/custom-host.ts'
import { effectiveHost } from '../../src/request/resolvers/host.ts'
import { fromSubdomain } from '../../src/request/resolvers/subdomain.ts'
import { RESERVED_TENANT_IDS } from '../../src/tenant-id.ts'
import { answer, ask } from './ask.ts'

describe('the effective host', () => {
  test.each([
    ['http://acme.example.com/', {}, 'acme.example.com'],
    ['http://acme.example.com:8080/a?b=c#d', {}, 'acme.example.com'],
    ['http://ACME.Example.COM/', {}, 'acme.example.com'],
    ['http://acme.example.com./', {}, 'acme.example.com'],
    ['http://acme.example.com/', { host: 'acme.example.com:3000' }, 'acme.example.com'],
    ['http://acme.example.com/', { host: 'ACME.example.com.' }, 'acme.example.com'],
    ['http://[::1]:3000/', {}, '[::1]'],
    ['http://acme.example.com/', { host: 'victim.example.com' }, 'tenant_ambiguous'],
    ['http://acme.example.com/', { host: '' }, 'invalid_request'],
    ['http://acme.example.com/', { host: 'acme.example.com, victim.example.com' }, 'tenant_ambiguous'],
    ['http://acme.example.com/', { host: 'acme.example.com,acme.example.com' }, 'tenant_ambiguous'],
    ['http://acme.example.com/', { host: 'user@acme.example.com' }, 'invalid_request'],
    ['http://acme.example.com/', { host: 'evil.com/acme.example.com' }, 'invalid_request'],
    ['http://acme.example.com/', { host: '%61cme.example.com' }, 'invalid_request'],
    ['http://acme.example.com/', { host: 'acme.example.com..' }, 'invalid_request'],
    ['http://acme.example.com/', { host: 'acme.example.com:80:80' }, 'invalid_request'],
    ['http://acme..example.com/', {}, 'invalid_request'],
  ])('of %s with %j is %s', async (url, headers, expected) => {
    expect(await answer((c) => effectiveHost(c), url, headers)).toBe(expected)
  })

  test('folds no letter from beyond ASCII into a name', async () => {
    const raw = new Request('http://kacme.example.com/')
    const kelvin = { url: 'http://\u212aacme.example.com/', headers: raw.headers }
    expect(() => effectiveHost({ req: { raw: kelvin } } as never)).toThrow(
      expect.objectContaining({ code: 'invalid_request' }),
    )
  })

  test('is the forwarded one only of requests said to be forwarded', async () => {
    const headers = { 'x-forwarded-host': 'Victim.example.com:443' }
    const read = (forwarded: boolean) =>
      answer((c) => effectiveHost(c, { forwarded }), 'http://internal:3000/', headers)
    expect(await read(false)).toBe('internal')
    expect(await read(true)).toBe('victim.example.com')
  })

  test.each(['a.example.com, b.example.com', 'a.example.com,a.example.com'])(
    'is refused when the forwarded one is the list %s',
    async (list) => {
      const read = answer((c) => effectiveHost(c, { forwarded: true }), 'http://internal/', {
        'x-forwarded-host': list,
      })
      expect(await read).toBe('tenant_ambiguous')
    },
  )

  test('does not let a forwarded host cover up a URL and a Host that disagree', async () => {
    const headers = { host: 'other', 'x-forwarded-host': 'acme.example.com' }
    expect(await answer((c) => effectiveHost(c, { forwarded: true }), 'http://internal/', headers)).toBe(
      'tenant_ambiguous',
    )
  })
})

describe('fromSubdomain', () => {
  const resolver = fromSubdomain({ baseDomain: 'example.com' })

  test.each([
    ['http://acme.example.com/', 'acme'],
    ['http://ACME.EXAMPLE.COM:81/', 'acme'],
    ['http://acme.example.com./', 'acme'],
    ['http://constructor.example.com/', 'constructor'],
    ['http://example.com/', 'tenant_unresolved'],
    ['http://a.acme.example.com/', 'tenant_unresolved'],
    ['http://acme.example.com.evil.com/', 'tenant_unresolved'],
    ['http://acmeexample.com/', 'tenant_unresolved'],
    ['http://acme-example.com/', 'tenant_unresolved'],
    ['http://evil.com/acme.example.com', 'tenant_unresolved'],
    ['http://127.0.0.1/', 'tenant_unresolved'],
    ['http://xn--cme-sna.example.com/', 'invalid_tenant_id'],
    ['http://a_b.example.com/', 'invalid_tenant_id'],
    [`http://${'a'.repeat(64)}.example.com/`, 'invalid_tenant_id'],
    ['http://__proto__.example.com/', 'invalid_tenant_id'],
  ])('reads %s as %s', async (url, expected) => {
    expect(await ask(resolver, url)).toBe(expected)
  })

  test.each(RESERVED_TENANT_IDS)('finds nothing at the reserved label %s', async (label) => {
    expect(await ask(resolver, `http://${label}.example.com/`, {}, { controlPlaneTenantId: 'main' })).toBe(
      'tenant_unresolved',
    )
  })

  test('maps a label with resolveSubdomain, and never a reserved one', async () => {
    const seen: string[] = []
    const mapped = fromSubdomain({
      baseDomain: 'example.com',
      reservedSubdomains: ['www', 'main'],
      resolveSubdomain: async (label) => {
        seen.push(label)
        return { shop: 'acme', odd: 'NOT AN ID' }[label] ?? null
      },
    })
    expect(await ask(mapped, 'http://shop.example.com/')).toBe('acme')
    expect(await ask(mapped, 'http://odd.example.com/')).toBe('invalid_tenant_id')
    expect(await ask(mapped, 'http://else.example.com/')).toBe('tenant_unresolved')
    expect(await ask(mapped, 'http://main.example.com/')).toBe('tenant_unresolved')
    expect(seen).toEqual(['shop', 'odd', 'else'])
  })

  test.each([0, true, {}, [], ['acme']])('refuses %j as what resolveSubdomain answers', async (value) => {
    const mapped = fromSubdomain({ baseDomain: 'example.com', resolveSubdomain: () => value as never })
    expect(await ask(mapped, 'http://shop.example.com/')).toBe('invalid_tenant_id')
  })

  test('answers as internal when resolveSubdomain fails', async () => {
    const failing = fromSubdomain({
      baseDomain: 'example.com',
      resolveSubdomain: () => Promise.reject('no catalog'),
    })
    expect(await ask(failing, 'http://shop.example.com/')).toBe('internal')
  })

  test('ignores X-Forwarded-Host unless the options name a trusted proxy', async () => {
    const headers = { 'x-forwarded-host': 'victim.example.com', 'x-from': 'proxy' }
    const forwarded = fromSubdomain({
      baseDomain: 'example.com',
      forwardedHost: true,
      trustedProxy: async (c) => c.req.header('x-from') === 'proxy',
    })
    const truthy = fromSubdomain({
      baseDomain: 'example.com',
      forwardedHost: true,
      trustedProxy: () => 'yes' as never,
    })
    const url = 'http://acme.example.com/'
    expect(await ask(resolver, url, headers)).toBe('acme')
    expect(await ask(forwarded, url, headers)).toBe('victim')
    expect(await ask(forwarded, url, { ...headers, 'x-from': 'client' })).toBe('acme')
    expect(await ask(forwarded, url, { 'x-from': 'proxy' })).toBe('acme')
    expect(await ask(truthy, url, headers)).toBe('acme')
  })

  test.each([
    [{}, 'baseDomain'],
    [{ baseDomain: '' }, 'baseDomain'],
    [{ baseDomain: 'Example.com' }, 'baseDomain'],
    [{ baseDomain: '.example.com' }, 'baseDomain'],
    [{ baseDomain: 'example.com.' }, 'baseDomain'],
    [{ baseDomain: 'https://example.com' }, 'baseDomain'],
    [{ baseDomain: 'example.com:80' }, 'baseDomain'],
    [{ baseDomain: '[::1]' }, 'baseDomain'],
    [{ baseDomain: 'example.com', reservedSubdomains: ['WWW'] }, 'reservedSubdomains'],
    [{ baseDomain: 'example.com', reservedSubdomains: 'www' }, 'reservedSubdomains'],
    [{ baseDomain: 'example.com', resolveSubdomain: 'x' }, 'resolveSubdomain'],
    [{ baseDomain: 'example.com', forwardedHost: true }, 'trustedProxy'],
    [{ baseDomain: 'example.com', forwardedHost: 'yes', trustedProxy: () => true }, 'forwardedHost'],
    [{ baseDomain: 'example.com', reservedSubdomain: [] }, 'reservedSubdomain'],
  ])('refuses %j, naming %s', (options, option) => {
    expect(() => fromSubdomain(options as never)).toThrow(
      expect.objectContaining({
        code: 'config_invalid',
        message: expect.stringContaining(`fromSubdomain.${option}`),
      }),
    )
  })
})

describe('fromHost', () => {
  test.each([
    ['http://login.acme.org/', 'acme'],
    ['http://LOGIN.acme.org.:8443/', 'acme'],
    ['http://acme.org/', 'tenant_unresolved'],
    ['http://constructor/', 'tenant_unresolved'],
    ['http://__proto__/', 'tenant_unresolved'],
    ['http://hasownproperty/', 'tenant_unresolved'],
  ])('reads %s as %s from a record', async (url, expected) => {
    expect(await ask(fromHost({ domains: { 'login.acme.org': 'acme' } }), url)).toBe(expected)
  })

  test('asks a look-up with the bare host, and believes only an id', async () => {
    const seen: string[] = []
    const answers: Record<string, unknown> = { 'a.org': 'acme', 'b.org': 0, 'c.org': ['acme'], 'd.org': null }
    const resolver = fromHost({
      domains: async (host) => {
        seen.push(host)
        return answers[host] as string
      },
    })
    expect(await ask(resolver, 'http://A.org.:81/')).toBe('acme')
    expect(await ask(resolver, 'http://b.org/')).toBe('invalid_tenant_id')
    expect(await ask(resolver, 'http://c.org/')).toBe('invalid_tenant_id')
    expect(await ask(resolver, 'http://d.org/')).toBe('tenant_unresolved')
    expect(seen).toEqual(['a.org', 'b.org', 'c.org', 'd.org'])
  })

  test.each([
    [{}],
    [{ domains: null }],
    [{ domains: { 'Acme.org': 'acme' } }],
    [{ domains: { 'acme.org:80': 'acme' } }],
    [{ domains: { 'acme.org': 'ACME' } }],
    [{ domains: { 'acme.org': 7 } }],
  ])('refuses %j', (options) => {
    expect(() => fromHost(options as never)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
  })
})

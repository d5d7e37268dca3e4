import { describe, expect, test } from 'vitest'
import { fromClaim } from '../../src/request/resolvers/claim.ts'
import { fromCookie } from '../../src/request/resolvers/cookie.ts'
import { fromHeader } from '../../src/request/resolvers/header.ts'
import { fromPath } from '../../src/request/resolvers/path.ts'
import type { TenantResolver } from '../../src/request/resolvers/resolver.ts'
import { fromSubdomain } from '../../src/request/resolvers/subdomain.ts'
import { ask } from './ask.ts'

const invalid = expect.objectContaining({ code: 'config_invalid' })
const trust = () => true

describe('fromPath', () => {
  test.each([
    ['/t/acme', 'acme'],
    ['/t/acme/notes?x=/t/victim#/t/victim', 'acme'],
    ['/t/acme?t=1', 'acme'],
    ['/t', 'tenant_unresolved'],
    ['/t/', 'tenant_unresolved'],
    ['/t//acme', 'tenant_unresolved'],
    ['//t/acme', 'tenant_unresolved'],
    ['/T/acme', 'tenant_unresolved'],
    ['/%74/acme', 'tenant_unresolved'],
    ['/tt/acme', 'tenant_unresolved'],
    ['/x?/t/acme', 'tenant_unresolved'],
    ['/t/%61cme', 'invalid_tenant_id'],
    ['/t/acme%2F..%2Fvictim', 'invalid_tenant_id'],
    ['/t/acme%00', 'invalid_tenant_id'],
    ['/t/acme;v=1', 'invalid_tenant_id'],
    ['/t/Acme', 'invalid_tenant_id'],
    ['/t/www', 'invalid_tenant_id'],
    ['/t/__proto__', 'invalid_tenant_id'],
  ])('reads %s as %s', async (path, expected) => {
    expect(await ask(fromPath({ prefix: '/t' }), `http://example.com${path}`)).toBe(expected)
  })

  test('can stand at the root or deeper', async () => {
    expect(await ask(fromPath({ prefix: '/' }), 'http://example.com/acme/notes')).toBe('acme')
    expect(await ask(fromPath({ prefix: '/api/v1' }), 'http://example.com/api/v1/acme')).toBe('acme')
  })

  test.each(['', 't', '/t/', '//', '/:t', '/t*', 7, undefined])('refuses the prefix %j', (prefix) => {
    expect(() => fromPath({ prefix: prefix as string })).toThrow(invalid)
  })
})

describe('fromClaim', () => {
  test.each([
    [undefined, 'tenant_unresolved'],
    [null, 'tenant_unresolved'],
    ['acme', 'tenant_unresolved'],
    [{}, 'tenant_unresolved'],
    [{ sub: 'me' }, 'tenant_unresolved'],
    [{ tenant_id: 'acme' }, 'acme'],
    [{ org_id: 'acme' }, 'acme'],
    [{ organization_id: 'acme', tenant_id: 'acme' }, 'acme'],
    [{ tenant_id: 'acme', org_id: 'victim' }, 'tenant_ambiguous'],
    [{ tenant_id: 'acme', org_id: 'ACME' }, 'tenant_ambiguous'],
    [{ tenant_id: 0 }, 'invalid_tenant_id'],
    [{ tenant_id: null }, 'invalid_tenant_id'],
    [{ tenant_id: ['acme'] }, 'invalid_tenant_id'],
    [{ tenant_id: { toString: 'acme' } }, 'invalid_tenant_id'],
    [{ tenant_id: '' }, 'invalid_tenant_id'],
    [JSON.parse('{"__proto__": {"tenant_id": "acme"}}'), 'tenant_unresolved'],
    [Object.create({ tenant_id: 'acme' }), 'tenant_unresolved'],
  ])('reads %j as %s', async (payload, expected) => {
    expect(await ask(fromClaim(), 'http://x/', {}, { payload })).toBe(expected)
  })

  test('reads the claims, names and issuer of its options', async () => {
    const resolver = fromClaim({
      claims: async () => ({ tid: 'acme', tenant_id: 'victim', iss: 'us' }),
      tenantClaims: ['tid'],
      issuer: 'us',
    })
    expect(await ask(resolver, 'http://x/')).toBe('acme')
    const other = fromClaim({ claims: () => ({ tenant_id: 'acme', iss: 'them' }), issuer: 'us' })
    expect(await ask(other, 'http://x/')).toBe('tenant_unresolved')
    const without = fromClaim({ claims: () => ({ tenant_id: 'acme' }), issuer: 'us' })
    expect(await ask(without, 'http://x/')).toBe('tenant_unresolved')
  })

  test.each([
    { issuer: undefined },
    { issuer: '' },
    { tenantClaims: [] },
    { tenantClaims: 'tid' },
    { tenantClaims: [''] },
    { claims: {} },
    { isuer: 'us' },
  ])('refuses %j', (options) => {
    expect(() => fromClaim(options as never)).toThrow(invalid)
  })
})

describe('fromHeader', () => {
  const url = 'http://x/'

  test('reads the header of trusted requests only', async () => {
    const onlyProxy = fromHeader({ trustedProxy: async (c) => c.req.header('x-from') === 'proxy' })
    expect(await ask(onlyProxy, url, { 'x-tenant-id': 'acme', 'x-from': 'proxy' })).toBe('acme')
    expect(await ask(onlyProxy, url, { 'x-tenant-id': 'acme' })).toBe('tenant_unresolved')
    expect(await ask(onlyProxy, url, { 'x-from': 'proxy' })).toBe('tenant_unresolved')
    expect(await ask(fromHeader({ trustedProxy: () => 1 as never }), url, { 'x-tenant-id': 'acme' })).toBe(
      'tenant_unresolved',
    )
    expect(await ask(fromHeader({ name: 'X-Org', trustedProxy: trust }), url, { 'x-org': 'acme' })).toBe(
      'acme',
    )
  })

  test('refuses a doubled or empty header', async () => {
    const resolver = fromHeader({ trustedProxy: trust })
    expect(await ask(resolver, url, { 'x-tenant-id': 'acme, acme' })).toBe('invalid_tenant_id')
    expect(await ask(resolver, url, { 'x-tenant-id': '' })).toBe('invalid_tenant_id')
  })

  test('answers as internal when the predicate fails', async () => {
    const resolver = fromHeader({ trustedProxy: () => Promise.reject(new Error('no address')) })
    expect(await ask(resolver, url, { 'x-tenant-id': 'acme' })).toBe('internal')
  })

  test.each([
    {},
    { trustedProxy: true },
    { name: 'a b', trustedProxy: trust },
    { nam: 'x', trustedProxy: trust },
  ])('refuses %j', (options) => {
    expect(() => fromHeader(options as never)).toThrow(invalid)
  })
})

describe('fromCookie', () => {
  test.each([
    ['tenant=acme', 'acme'],
    ['a=b; tenant=acme;c=d', 'acme'],
    ['tenant=acme; tenant=acme', 'acme'],
    ['tenant=acme; tenant=victim', 'tenant_ambiguous'],
    ['tenant=; tenant=victim', 'tenant_ambiguous'],
    ['xtenant=acme', 'tenant_unresolved'],
    ['tenant', 'tenant_unresolved'],
    ['Tenant=acme', 'tenant_unresolved'],
    ['tenant="acme"', 'invalid_tenant_id'],
    ['tenant=%61cme', 'invalid_tenant_id'],
    ['tenant=\u00a0acme', 'invalid_tenant_id'],
    ['tenant=', 'invalid_tenant_id'],
  ])('reads %j as %s', async (cookie, expected) => {
    expect(await ask(fromCookie({ name: 'tenant', trustedProxy: trust }), 'http://x/', { cookie })).toBe(
      expected,
    )
  })

  test('ignores the cookie of requests not trusted', async () => {
    const resolver = fromCookie({ name: 'tenant', trustedProxy: () => false })
    expect(await ask(resolver, 'http://x/', { cookie: 'tenant=acme' })).toBe('tenant_unresolved')
  })

  test.each([{ name: 'tenant' }, { trustedProxy: trust }, { name: 'a;b', trustedProxy: trust }])(
    'refuses %j',
    (options) => {
      expect(() => fromCookie(options as never)).toThrow(invalid)
    },
  )
})

describe('several resolvers', () => {
  const host = fromSubdomain({ baseDomain: 'example.com' })
  const claim = fromClaim()
  const path = fromPath({ prefix: '/t' })

  test('must agree', async () => {
    const all = [host, claim, path]
    const payload = { tenant_id: 'acme' }
    expect(await ask(all, 'http://acme.example.com/t/acme', {}, { payload })).toBe('acme')
    expect(await ask(all, 'http://www.example.com/', {}, { payload })).toBe('acme')
    expect(await ask(all, 'http://victim.example.com/', {}, { payload })).toBe('tenant_ambiguous')
    expect(await ask(all, 'http://acme.example.com/t/victim', {}, { payload })).toBe('tenant_ambiguous')
    expect(await ask(all, 'http://www.example.com/')).toBe('tenant_unresolved')
  })

  test('run in order, all of them', async () => {
    const order: number[] = []
    const noting =
      (n: number): TenantResolver =>
      async () => {
        order.push(n)
        return 'acme'
      }
    expect(await ask([noting(1), noting(2), noting(3)], 'http://x/')).toBe('acme')
    expect(order).toEqual([1, 2, 3])
  })

  test('leave the control plane no address: its token neither contradicts a tenant nor names one', async () => {
    const options = { payload: { tenant_id: 'main' }, controlPlaneTenantId: 'main' }
    expect(await ask([host, claim], 'http://acme.example.com/', {}, options)).toBe('acme')
    expect(await ask([claim, host], 'http://acme.example.com/', {}, options)).toBe('acme')
    expect(await ask([host, claim], 'http://evil.com/', {}, options)).toBe('tenant_unresolved')
    expect(await ask([claim], 'http://x/', {}, options)).toBe('tenant_unresolved')
    expect(
      await ask(
        [host, claim],
        'http://main.example.com/',
        {},
        { ...options, payload: { tenant_id: 'acme' } },
      ),
    ).toBe('tenant_ambiguous')
  })

  test('resolves no tenant without a resolver', async () => {
    expect(await ask([], 'http://acme.example.com/')).toBe('tenant_unresolved')
  })

  test.each([0, false, {}, [], ['acme'], Symbol('acme'), () => 'acme'])(
    'refuse %s for a tenant id',
    async (value) => {
      expect(await ask(() => value as never, 'http://x/')).toBe('invalid_tenant_id')
    },
  )
})

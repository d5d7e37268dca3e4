import { Hono } from 'hono'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { createAccessControlMiddleware } from '../../src/request/authorize.ts'
import type { AccessControlOptions } from '../../src/types/access-control.ts'
import { readCode } from './test-databases.ts'

const handled = vi.fn()
beforeEach(() => handled.mockClear())

/** What a request to `tenant_id` with a token of `payload` is answered: `served`, or the code. */
async function reach(
  accessControl: AccessControlOptions | undefined,
  tenantId: unknown,
  payload?: unknown,
): Promise<string | undefined> {
  const app = new Hono<{ Variables: { tenant_id: unknown; jwtPayload: unknown } }>()
  app.use(async (c, next) => {
    c.set('tenant_id', tenantId)
    c.set('jwtPayload', payload)
    await next()
  })
  app.use(createAccessControlMiddleware(accessControl === undefined ? {} : { accessControl }))
  app.get('/', (c) => {
    handled(c.get('tenant_id'))
    return c.text('served')
  })
  const response = await app.request('/')
  const served = response.status === 200
  expect(handled).toHaveBeenCalledTimes(served ? 1 : 0)
  return served ? 'served' : readCode(response)
}

describe('the built-in rule', () => {
  const main = { controlPlaneTenantId: 'main' }

  test.each<[unknown, unknown, string, AccessControlOptions?]>([
    ['acme', { tenant_id: 'acme' }, 'served'],
    ['acme', { org_id: 'acme' }, 'served'],
    ['acme', { organization_id: 'acme' }, 'served'],
    ['acme', undefined, 'unauthenticated'],
    ['acme', null, 'unauthenticated'],
    ['acme', 'acme', 'unauthenticated'],
    ['acme', {}, 'tenant_not_found'],
    ['acme', { sub: 'acme' }, 'tenant_not_found'],
    ['acme', { tenant_id: 'victim' }, 'tenant_not_found'],
    ['acme', { tenant_id: 'ACME' }, 'tenant_not_found'],
    ['acme', { tenant_id: 'main' }, 'tenant_not_found'],
    ['acme', { tenant_id: ['acme'] }, 'invalid_tenant_id'],
    ['acme', { tenant_id: 'acme', org_id: 'victim' }, 'tenant_ambiguous'],
    ['acme', { tenant_id: 'main' }, 'served', main],
    ['acme', { tenant_id: 'main' }, 'served', { mainTenantId: 'main' }],
    ['acme', { tenant_id: 'main' }, 'served', { mainTenantId: 'main', controlPlaneTenantId: 'main' }],
    ['main', { tenant_id: 'main' }, 'served', main],
    ['main', { tenant_id: 'acme' }, 'tenant_not_found', main],
    ['acme', { tenant_id: 'main', org_id: 'acme' }, 'tenant_ambiguous', main],
    ['acme', {}, 'tenant_not_found', main],
    ['acme', { tenant_id: 'acme', iss: 'us' }, 'served', { issuer: 'us' }],
    ['acme', { tenant_id: 'acme', iss: 'them' }, 'unauthenticated', { issuer: 'us' }],
    ['acme', { tenant_id: 'acme' }, 'unauthenticated', { issuer: 'us' }],
    ['acme', { tenant_id: 'main', iss: 'them' }, 'unauthenticated', { ...main, issuer: 'us' }],
    ['acme', { tid: 'acme' }, 'served', { tenantClaims: ['tid'] }],
    ['acme', { tenant_id: 'acme' }, 'tenant_not_found', { tenantClaims: ['tid'] }],
    ['acme', undefined, 'served', { claims: async () => ({ tenant_id: 'acme' }) }],
    ['acme', { tenant_id: 'acme' }, 'unauthenticated', { claims: () => undefined }],
    ['acme', undefined, 'internal', { claims: () => Promise.reject(new Error('no keys')) }],
    [undefined, { tenant_id: 'acme' }, 'tenant_unresolved'],
    ['ACME', { tenant_id: 'ACME' }, 'invalid_tenant_id'],
    ['www', { tenant_id: 'www' }, 'invalid_tenant_id'],
    [0, { tenant_id: 'acme' }, 'invalid_tenant_id'],
  ])('answers tenant %j and token %j with %s (%j)', async (tenantId, payload, expected, options) => {
    expect(await reach(options, tenantId, payload)).toBe(expected)
  })
})

describe('authorize', () => {
  test('decides alone', async () => {
    const authorize = vi.fn((_, id: string) => id === 'acme')
    const options = { authorize, controlPlaneTenantId: 'main' }
    expect(await reach(options, 'acme')).toBe('served')
    handled.mockClear()
    expect(await reach(options, 'victim', { tenant_id: 'victim' })).toBe('tenant_not_found')
    expect(await reach(options, 'victim', { tenant_id: 'main' })).toBe('tenant_not_found')
    expect(authorize.mock.calls.map(([, id]) => id)).toEqual(['acme', 'victim', 'victim'])
  })

  test.each([false, undefined, null, 0, 1, 'yes', {}, []])('refuses with %j', async (answer) => {
    expect(await reach({ authorize: async () => answer as boolean }, 'acme')).toBe('tenant_not_found')
    expect(await reach({ authorize: () => answer as boolean }, 'acme')).toBe('tenant_not_found')
  })

  test('fails closed', async () => {
    const failing = (error: unknown): AccessControlOptions => ({
      authorize: () => {
        throw error
      },
    })
    expect(await reach(failing(new Error('policy store down')), 'acme')).toBe('internal')
    expect(await reach(failing('policy store down'), 'acme')).toBe('internal')
    expect(await reach({ authorize: () => Promise.reject(undefined) }, 'acme')).toBe('internal')
    expect(await reach(failing(new TenancyError('unauthenticated', 'log in')), 'acme')).toBe(
      'unauthenticated',
    )
  })
})

test.each([
  [{ controlPlaneTenantId: 'main', mainTenantId: 'other' }, 'mainTenantId'],
  [{ controlPlaneTenantId: 'MAIN' }, 'controlPlaneTenantId'],
  [{ controlPlaneTenantId: undefined }, 'controlPlaneTenantId'],
  [{ mainTenantId: 7 }, 'mainTenantId'],
  [{ issuer: undefined }, 'issuer'],
  [{ authorize: true }, 'authorize'],
  [{ authorise: () => true }, 'authorise'],
  [{ authorizeControlPlane: 'x' }, 'authorizeControlPlane'],
  [{ claims: 'x' }, 'claims'],
  [{ tenantClaims: [1] }, 'tenantClaims'],
])('%j is refused while constructing, naming %s', (accessControl, option) => {
  expect(() => createAccessControlMiddleware({ accessControl: accessControl as never })).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      message: expect.stringContaining(`accessControl.${option}`),
    }),
  )
})

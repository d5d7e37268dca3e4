import { describe, expect, it } from 'vitest'
import { derivePassword, randomId } from '../../src/provider-kit/credentials.ts'
import { isNetworkError, isTlsError } from '../../src/provider-kit/network-errors.ts'
import { checkSecret, parsePlacement, parsePoolOptions } from '../../src/provider-kit/sql-server-options.ts'

const parse = (path: string, { connection }: { connection: string }) => `${path}${connection}`

describe('options of a database server', () => {
  it('have defaults, and reject values that are not a number of connections or milliseconds', () => {
    expect(parsePoolOptions({ maxConnections: 3 })).toMatchObject({ maxConnections: 3, queueTimeout: 5_000 })
    for (const options of [
      { maxConnections: 0 },
      { maxConnectionsPerTenant: 1.5 },
      { idleTimeout: Number.NaN },
    ])
      expect(() => parsePoolOptions(options)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
  })

  it('name each server once parsed, and the one of a new tenant', () => {
    const own = { connection: 'one' }
    const { servers, placement } = parsePlacement(
      { servers: { eu: { connection: 'two' } }, placement: 'eu' },
      own,
      parse,
    )
    expect([...servers]).toEqual([
      ['default', 'one'],
      ['eu', 'servers.eu.two'],
    ])
    expect(placement('tenant_acme')).toBe('eu')
    expect(parsePlacement({ placement: (name) => name }, own, parse).placement('x')).toBe('x')
  })

  it.each([
    [{ placement: 'us' }, /^placement: unknown server "us"/],
    [{ servers: { 'a/b': { connection: '' } } }, /^servers: invalid server name "a\/b"/],
    [{ servers: { eu: null } }, /^servers\.eu: must be an object/],
  ])('reject %j by name', (options, message) => {
    const call = () => parsePlacement(options as never, { connection: '' }, parse)
    expect(call).toThrow(expect.objectContaining({ detail: expect.stringMatching(message) }))
  })

  it('ask for a secret of 32 characters', () => {
    expect(() => checkSecret('short', "isolation: 'role'")).toThrow(/32 characters for isolation: 'role'/)
    expect(() => checkSecret('s'.repeat(32), '')).not.toThrow()
  })
})

describe('credentials', () => {
  it('give each login its own password, the same in every process', async () => {
    const secret = 's'.repeat(32)
    const one = await derivePassword(secret, 'tenantry_a')
    expect(one).toMatch(/^\w{44}$/)
    expect(await derivePassword(secret, 'tenantry_a')).toBe(one)
    expect(await derivePassword(secret, 'tenantry_b')).not.toBe(one)
    await expect(derivePassword(undefined, 'tenantry_a')).rejects.toMatchObject({ code: 'config_invalid' })
    expect(randomId()).toMatch(/^[0-9a-v]{26}$/)
  })
})

it.each([
  ['ECONNREFUSED', true, false],
  ['ENOTFOUND', true, false],
  ['SELF_SIGNED_CERT_IN_CHAIN', false, true],
  ['ERR_TLS_CERT_ALTNAME_INVALID', false, true],
  ['ENOENT', false, false],
])('an error with the code %s is of the network: %s, of TLS: %s', (code, network, tls) => {
  const error = Object.assign(new Error(code), { code })
  expect([isNetworkError(error), isTlsError(error)]).toEqual([network, tls])
  expect(isNetworkError(Object.assign(error, { syscall: 'connect' }))).toBe(network || code === 'ENOENT')
})

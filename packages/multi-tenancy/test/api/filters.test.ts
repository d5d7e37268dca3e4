import { describe, expect, test } from 'vitest'
import { createTestApi } from './test-api.ts'

/** The value is sent unchanged, except for characters that a URL cannot hold. */
const query = (name: string, value: string) => `/?${name}=${encodeURIComponent(value)}`

describe('a filter', () => {
  test('narrows the list by all of its conditions', async () => {
    let now = Date.parse('2026-01-01T00:00:00Z')
    const api = await createTestApi({ now: () => now })
    for (const [id, placement] of [
      ['acme', 'eu'],
      ['acme-labs', 'us'],
      ['acorn', 'eu'],
      ['globex', undefined],
    ] as const) {
      expect((await api.call('POST', '/', { id })).status).toBe(201)
      await api.updateTenantRow(id, { placement: placement ?? null })
      now += 60_000
    }
    await api.call('POST', '/acorn/suspend')
    await api.call('DELETE', '/globex')
    const ids = async (search: string) => {
      const { status, body } = await api.call('GET', `/?total=true&${search}`)
      expect(status, search).toBe(200)
      expect(body.total).toBe(body.tenants.length)
      return body.tenants.map(({ id }: any) => id)
    }
    expect(await ids('')).toEqual(['acme', 'acme-labs', 'acorn', 'globex'])
    expect(await ids('idPrefix=ac')).toEqual(['acme', 'acme-labs', 'acorn'])
    expect(await ids('idPrefix=acme')).toEqual(['acme', 'acme-labs'])
    expect(await ids('idPrefix=acme-')).toEqual(['acme-labs'])
    expect(await ids('state=active')).toEqual(['acme', 'acme-labs'])
    expect(await ids('state=suspended&state=deleted&state=deleted')).toEqual(['acorn', 'globex'])
    expect(await ids('state=purged')).toEqual([])
    expect(await ids('placement=eu')).toEqual(['acme', 'acorn'])
    expect(await ids('placement=eu&state=active')).toEqual(['acme'])
    expect(await ids('createdAfter=2026-01-01T00:01:00Z')).toEqual(['acme-labs', 'acorn', 'globex'])
    expect(await ids('createdBefore=2026-01-01T00:01:00.000Z')).toEqual(['acme'])
    const offset = encodeURIComponent('2026-01-01T02:02:00+02:00')
    expect(await ids(`createdAfter=2026-01-01T00:01:00Z&createdBefore=${offset}`)).toEqual(['acme-labs'])
    await api.call('DELETE', '/globex?retention=PT0S')
    const { uid } = (await api.call('GET', '/globex')).body
    await api.call('POST', '/globex/purge', { uid })
    expect(await ids('')).toEqual(['acme', 'acme-labs', 'acorn'])
    expect(await ids('state=purged')).toEqual(['globex'])
  })

  const hostile = [
    "'", '"', '%', '_', 'ac%', 'ac_e', "' OR '1'='1", "'; DROP TABLE tenantry_tenants; --", '\0', 'acme\0', '\\',
    '[object Object]', '{"$ne":null}', 'a'.repeat(10_000), 'ä', 'аcme', '😀', '\u{202e}', 'ACME', '', ' ', 'acme\n', '{',
    '1e999.', '+1', '"null"', '../..',
  ] // biome-ignore format: one list
  const names = ['state', 'idPrefix', 'createdAfter', 'createdBefore', 'total', 'limit', 'cursor']

  test.each(names)('%s rejects hostile text', async (name) => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme' })
    for (const value of hostile) {
      const { status, body } = await api.call('GET', query(name, value))
      expect([status, body.code], `${name}=${value}`).toEqual([400, 'invalid_request'])
    }
    expect((await api.call('GET', '/')).body.tenants).toHaveLength(1)
  })

  test('compares a placement as text, or rejects it', async () => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme' })
    await api.updateTenantRow('acme', { placement: '%' })
    for (const value of hostile) {
      const { status, body } = await api.call('GET', query('placement', value))
      if (status === 200) expect(body.tenants, value).toHaveLength(value === '%' ? 1 : 0)
      else expect(body.code).toBe('invalid_request')
    }
  })

  test.each([
    '/?idPrefix=a&idPrefix=b',
    '/?limit=1&limit=2',
    '/?idPrefix[]=a',
    '/?idPrefix[$ne]=a',
    '/?state[]=active',
    '/?state=active,failed',
    '/?state=Active',
    '/?total=yes',
    '/?total=true&total=true',
    '/?limit=0',
    '/?limit=101',
    '/?limit=1.5',
    '/?limit=01',
    '/?createdAfter=2026-01-01',
    '/?createdAfter=2026-02-30T00:00:00Z',
    '/?createdAfter=1767225600000',
    '/?createdBefore=2026-01-01T00:00:00',
    '/?locator=x',
    '/?revision=x',
    '/?__proto__=x',
    '/?constructor=x',
    '/acme?fields=locator',
    '/acme/operations?total=true',
    '/openapi.json?x=1',
  ])('rejects GET %s', async (path) => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme' })
    expect((await api.call('GET', path)).body).toMatchObject({ status: 400, code: 'invalid_request' })
  })

  test.each([
    '30',
    'P',
    'PT',
    'P1Y',
    'P1M',
    '-P1D',
    'P-1D',
    'P1.5D',
    'P1DT',
    'p1d',
    'P1W2D',
    'P999999D',
    '0',
    '',
  ])('rejects the retention %j and deletes nothing', async (retention) => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme' })
    expect((await api.call('DELETE', `/acme?retention=${retention}`)).body.code).toBe('invalid_request')
    expect((await api.call('GET', '/acme')).body.state).toBe('active')
  })

  test.each([
    ['P2W', 1_209_600],
    ['P30D', 2_592_000],
    ['PT90M', 5_400],
    ['P1DT1H1M1S', 90_061],
    ['P99999D', 8_639_913_600],
  ])('reads the retention %s as %i seconds', async (retention, seconds) => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme' })
    const { body } = await api.call('DELETE', `/acme?retention=${retention}`)
    expect(Date.parse(body.purgeAfter) - Date.parse(body.deletedAt)).toBe(seconds * 1_000)
  })
})

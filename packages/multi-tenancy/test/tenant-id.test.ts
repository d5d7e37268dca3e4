import { describe, expect, test } from 'vitest'
import { parseTenantId, RESERVED_TENANT_IDS, reservedSet } from '../src/tenant-id.ts'

/** Everything that is not exactly a tenant id, and has fooled some library once. */
export const HOSTILE_IDS: readonly unknown[] = [
  '', ' ', 'Acme', 'ACME', 'acme ', ' acme', 'acme\n', 'acme\0', 'acme%00', '%61cme', 'a--b', '-acme', 'acme-', '-',
  'a_b', 'a.b', 'acme.', '.', '..', '../acme', '..%2facme', 'a/../b', 'a/b', 'a\\b', 'evil.com/x', 'user@evil.com',
  'evil.com:8080', 'acme?x=1', 'acme#x', "acme'; DROP TABLE t; --", 'acme"', 'acme`', 'acmé', 'acme\u0301', 'аcme',
  'ａcme', 'acme\u200b', '\ufeffacme', '\u202eacme', 'ſs', 'K', '__proto__', 'x'.repeat(64), 'x'.repeat(100_000),
  0, 1, true, false, null, undefined, Number.NaN, {}, [], ['acme'], { toString: () => 'acme' }, Symbol('acme'), 10n,
  () => 'acme', new String('acme'),
] // biome-ignore format: a corpus

const shown = (id: unknown): string =>
  `${typeof id} ${String(typeof id === 'object' ? Object.prototype.toString.call(id) : id).slice(0, 70)}`

describe('a tenant id', () => {
  test.each(['a', '0', 'acme', 'acme-eu-1', '0a', 'xn-a', 'constructor', 'tostring', 'a'.repeat(63)])(
    'can be %s',
    (id) => {
      expect(parseTenantId(id)).toBe(id)
    },
  )

  test.each(HOSTILE_IDS.map((id) => [shown(id), id] as const))('is never %s', (_, id) => {
    expect(() => parseTenantId(id)).toThrow(
      expect.objectContaining({ code: 'invalid_tenant_id', status: 400 }),
    )
  })

  test.each(RESERVED_TENANT_IDS)('is not %s, which is reserved', (id) => {
    expect(() => parseTenantId(id)).toThrow(expect.objectContaining({ code: 'invalid_tenant_id' }))
  })

  test('reserves what the app says instead', () => {
    const reserved = reservedSet(['mine'], 'reservedTenantIds')
    expect(parseTenantId('www', reserved)).toBe('www')
    expect(() => parseTenantId('mine', reserved)).toThrow()
    expect(() => reservedSet(['Not An Id'], 'reservedTenantIds')).toThrow(/reservedTenantIds/)
  })
})

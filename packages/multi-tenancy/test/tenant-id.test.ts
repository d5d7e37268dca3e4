import { describe, expect, test } from 'vitest'
import { parseTenantId, RESERVED_TENANT_IDS, reservedSet } from '../src/tenant-id.ts'
import { HOSTILE_IDS } from './hostile-ids.ts'

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

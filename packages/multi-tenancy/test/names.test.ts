import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nameTenants } from '../src/database/names.ts'
import { isTenantId, type TenantId } from '../src/tenant-id.ts'
import type { Naming } from '../src/types/provider.ts'

const label = fc.stringMatching(/^[a-z0-9]{1,20}$/)
const tenantId = fc
  .array(label, { minLength: 1, maxLength: 6 })
  .map((labels) => labels.join('-').slice(0, 63).replace(/-$/, ''))
  .filter(isTenantId)
/** Ids that agree in almost everything: where truncation and separators would show. */
const lookAlikes = fc
  .tuple(tenantId, fc.array(fc.constantFrom('-', 'a', 'g2', '-g2', 'x'), { maxLength: 4 }))
  .map(([id, tail]) => (id + tail.join('')).slice(0, 63))
  .filter(isTenantId)
const naming: fc.Arbitrary<Naming> = fc.record({
  maxLength: fc.integer({ min: 32, max: 80 }),
  separator: fc.constantFrom('_' as const, '-' as const),
})

describe('physical names', () => {
  test("no two tenants or generations share a name, under any provider's limits", async () => {
    await fc.assert(
      fc.asyncProperty(
        naming,
        fc.uniqueArray(fc.tuple(fc.oneof(tenantId, lookAlikes), fc.integer({ min: 1, max: 12 })), {
          selector: ([id, generation]) => `${id} ${generation}`,
          minLength: 2,
          maxLength: 40,
        }),
        async (limits, tenants) => {
          const name = nameTenants(limits, `tenant${limits.separator}`)
          const names = await Promise.all(tenants.map(([id, generation]) => name(id, generation)))
          expect(new Set(names).size).toBe(names.length)
          const allowed = limits.separator === '_' ? /^[a-z0-9_-]+$/ : /^[a-z0-9-]+$/
          for (const each of names) {
            expect(each.length).toBeLessThanOrEqual(limits.maxLength)
            expect(each).toMatch(allowed)
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  test('a tenant that fits keeps its id in the name, as the specification shows', async () => {
    const acme = 'acme' as TenantId
    expect(await nameTenants({ maxLength: 63, separator: '_' }, 'tenant_')(acme)).toBe('tenant_acme')
    expect(await nameTenants({ maxLength: 52, separator: '-' }, 'tenant-')(acme)).toBe('tenant-acme')
    expect(await nameTenants({ maxLength: 63, separator: '_' }, 'tenant_')(acme, 2)).toBe('tenant_acme_g2')
  })

  test.each([
    ['Tenant_', '_', 63],
    ['tenant_', '-', 63],
    ['', '_', 63],
    ['1st_', '_', 63],
    ['a'.repeat(45), '_', 63],
    ["x'; --", '_', 63],
  ] as const)(
    'rejects the prefix %j where it yields no valid name (%s, %d)',
    (prefix, separator, maxLength) => {
      expect(() => nameTenants({ maxLength, separator }, prefix)).toThrow(
        expect.objectContaining({ code: 'config_invalid' }),
      )
    },
  )
})

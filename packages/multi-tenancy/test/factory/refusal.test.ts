import { expect, test, vi } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { classifyConnectionError } from '../../src/provider-kit/connection-loss.ts'

const cause = new TenancyError('credentials_rejected', 'Access denied')

test.each([
  ['missing', undefined, 'tenant_not_found', true],
  ['replaced', { same: false }, 'stale_tenant', true],
  ['replaced and closed', { same: false, closed: true }, 'stale_tenant', true],
  ['closed', { same: true, closed: true }, 'tenant_suspended', false],
] as const)('classifies a database that is %s with its code and the cause', (_what, database, code, gone) => {
  const lost = vi.fn()
  expect(classifyConnectionError(database, { cause, onDatabaseGone: lost })).toMatchObject({ code, cause })
  expect(classifyConnectionError(database)).toMatchObject({ code })
  expect(lost).toHaveBeenCalledTimes(gone ? 1 : 0)
})

test('returns the cause when the database is unchanged', () => {
  const lost = vi.fn()
  expect(classifyConnectionError({ same: true, closed: false }, { cause, onDatabaseGone: lost })).toBe(cause)
  expect(classifyConnectionError({ same: true }, { onDatabaseGone: lost })).toBeUndefined()
  expect(lost).not.toHaveBeenCalled()
})

test('calls onDatabaseGone for a cause that reports a missing or replaced database', () => {
  const lost = vi.fn()
  for (const code of ['tenant_not_found', 'stale_tenant'] as const) {
    const reported = new TenancyError(code, 'As the Worker says')
    expect(classifyConnectionError({ same: true }, { cause: reported, onDatabaseGone: lost })).toBe(reported)
  }
  expect(lost).toHaveBeenCalledTimes(2)
})

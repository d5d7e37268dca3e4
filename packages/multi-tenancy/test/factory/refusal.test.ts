import { expect, test, vi } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { classifyConnectionError } from '../../src/provider-kit/connection-loss.ts'

const cause = new TenancyError('credentials_rejected', 'Access denied')

test.each([
  ['nothing', undefined, 'tenant_not_found', true],
  ['another of the name', { same: false }, 'stale_tenant', true],
  ['another, closed', { same: false, closed: true }, 'stale_tenant', true],
  ['the same, closed', { same: true, closed: true }, 'tenant_suspended', false],
] as const)('%s is told with its code, and the cause', (_what, found, code, gone) => {
  const lost = vi.fn()
  expect(classifyConnectionError(found, { cause, onDatabaseGone: lost })).toMatchObject({ code, cause })
  expect(classifyConnectionError(found)).toMatchObject({ code })
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
    const told = new TenancyError(code, 'As the Worker says')
    expect(classifyConnectionError({ same: true }, { cause: told, onDatabaseGone: lost })).toBe(told)
  }
  expect(lost).toHaveBeenCalledTimes(2)
})

import { expect, test } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { createErrorMap } from '../../src/provider-kit/error-map.ts'
import { createRedactor } from '../../src/provider-kit/redactor.ts'

const redactor = createRedactor()
redactor.keep('hunter2secret')
const refused = new Error('no such table: notes')
const { mapError, toClientError } = createErrorMap({
  redactor,
  classify({ message }) {
    if (message.startsWith('busy')) return 'provider_unavailable'
    if (message.startsWith('full')) return { code: 'quota_exceeded', message: 'No room', retryAfter: 60 }
    return 'provider_rejected'
  },
  isRefusedStatement: (error) => error === refused,
})

test("keeps the driver's message for a bare code, with a short retryAfter for retryable codes", () => {
  expect(mapError(new Error('busy'))).toMatchObject({
    code: 'provider_unavailable',
    detail: 'busy',
    retryAfter: 1,
  })
  expect(mapError(refused)).toMatchObject({ code: 'provider_rejected', retryAfter: undefined })
})

test('uses a full classification unchanged', () => {
  expect(mapError(new Error('full'))).toMatchObject({
    code: 'quota_exceeded',
    detail: 'No room',
    retryAfter: 60,
  })
})

test('removes secrets from message and cause, and describes a value that is not an error', () => {
  const error = mapError(new Error('busy: hunter2secret'))
  expect(`${error.message} ${error.cause} ${(error.cause as Error).stack}`).not.toContain('hunter2secret')
  const unknown = mapError({ password: 'hunter2secret' })
  expect(unknown).toMatchObject({ code: 'internal', detail: 'Something failed' })
  expect(unknown.cause).toBeUndefined()
})

test("keeps a coded error, and passes the driver's own error of a rejected statement to clients", () => {
  const coded = new TenancyError('conflict', 'as it is')
  expect(mapError(coded)).toBe(coded)
  expect(toClientError(coded)).toBe(coded)
  expect(toClientError(refused)).toBe(refused)
  expect(toClientError(new Error('busy'))).toMatchObject({ code: 'provider_unavailable' })
})

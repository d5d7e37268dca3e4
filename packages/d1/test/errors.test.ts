import { createRedactor, HttpError, TenancyError } from '@tenantry/multi-tenancy/provider'
import { describe, expect, test } from 'vitest'
import { createD1ErrorMap } from '../src/errors.ts'

const SECRET = 'a-secret-token'
const redactor = createRedactor()
redactor.keep(SECRET)
const { mapError, toClientError } = createD1ErrorMap(redactor)

describe("an app receives D1's own error", () => {
  test.each([
    'D1_ERROR: near "SELEKT": syntax error at offset 0: SQLITE_ERROR',
    'D1_ERROR: UNIQUE constraint failed: notes.id: SQLITE_CONSTRAINT',
    'D1_ERROR: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)',
    'D1_ERROR: database is locked: SQLITE_BUSY',
    'D1_ERROR: database or disk is full: SQLITE_FULL',
    'D1_ERROR: Exceeded maximum DB size',
    'D1_ERROR: Wrong number of parameter bindings for SQL query.',
    "D1_TYPE_ERROR: Type 'bigint' not supported for value '1'",
    'D1_COLUMN_NOTFOUND: Column not found (title)',
    'D1_EXEC_ERROR: Error in line 1: SELEKT 1: near "SELEKT": syntax error at offset 0: SQLITE_ERROR',
    // The text of the app contains the phrases of an outage.
    "D1_EXEC_ERROR: Error in line 1: SELEKT 'network connection lost': No SQL statements detected.",
    `D1_ERROR: no such column: "overloaded": SQLITE_ERROR`,
    'D1_ERROR: no such table: internal error: SQLITE_ERROR',
  ])('%s', (message) => {
    const error = new Error(message)
    expect(toClientError(error)).toBe(error)
  })
})

describe("an app receives a code, with D1's message,", () => {
  test.each([
    ['D1_ERROR: D1 DB is overloaded. Requests queued for too long.', 'provider_unavailable'],
    ['D1_ERROR: Network connection lost.', 'provider_unavailable'],
    ['D1_ERROR: D1 DB reset because its code was updated.', 'provider_unavailable'],
    ['D1_ERROR: internal error; reference = 7', 'provider_unavailable'],
    ['D1_EXEC_ERROR: Error in line 1: SELECT 1: Network connection lost.', 'provider_unavailable'],
    ['D1_ERROR: The database could not be found', 'tenant_not_found'],
  ])('for %s', (message, code) => {
    const error = toClientError(new Error(message)) as TenancyError
    expect(error).toBeInstanceOf(TenancyError)
    expect(error.code).toBe(code)
    expect(error.message).toContain(message)
  })
})

describe('the core receives a code', () => {
  test.each([
    ['D1_ERROR: database is locked: SQLITE_BUSY', 'provider_unavailable'],
    ['D1_ERROR: disk I/O error: SQLITE_IOERR', 'provider_unavailable'],
    ['D1_ERROR: database or disk is full: SQLITE_FULL', 'quota_exceeded'],
    ['D1_ERROR: Exceeded maximum DB size', 'quota_exceeded'],
    ['D1_ERROR: no such table: notes: SQLITE_ERROR', 'provider_rejected'],
  ])('for %s', (message, code) => {
    expect(mapError(new Error(message)).code).toBe(code)
  })
})

test("a statement's error that contains a secret is not passed on", () => {
  const error = toClientError(new Error(`D1_ERROR: no such column: ${SECRET}: SQLITE_ERROR`)) as TenancyError
  expect(error.code).toBe('provider_rejected')
  expect(error.message).not.toContain(SECRET)
})

test('a rate limit without Retry-After blocks for five minutes', () => {
  const error = mapError(new HttpError("Cloudflare's API", 429, 'responded with status 429'))
  expect(error).toMatchObject({ code: 'rate_limited', retryAfter: 300 })
})

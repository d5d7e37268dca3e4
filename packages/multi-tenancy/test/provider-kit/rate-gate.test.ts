import { beforeEach, describe, expect, it } from 'vitest'
import { createRateGate, MAX_RETRY_AFTER, parseRetryAfter, type RateGate } from '../../src/provider.ts'

const at = Date.UTC(2026, 0, 1)
const headers = (value?: string): Headers => new Headers(value === undefined ? {} : { 'retry-after': value })
const date = (ms: number): string => new Date(ms).toUTCString()

describe('parseRetryAfter', () => {
  it.each([
    ['7', 7],
    [' 7 ', 7],
    ['0', 0],
    ['300', 300],
    ['301', MAX_RETRY_AFTER],
    ['9'.repeat(400), MAX_RETRY_AFTER],
    [date(at + 20_000), 21],
    [date(at - 60_000), 0],
    ['Fri, 31 Dec 2099 23:59:59 GMT', MAX_RETRY_AFTER],
    ['soon', undefined],
    ['', undefined],
  ])('reads %s as %s seconds', (value, expected) => {
    expect(parseRetryAfter(headers(value), at)).toBe(expected)
  })

  it('returns undefined without the header', () => {
    expect(parseRetryAfter(headers(), at)).toBeUndefined()
  })
})

describe('a rate gate', () => {
  let now: number
  let gate: RateGate
  beforeEach(() => {
    now = at
    gate = createRateGate('The Cabinet API', () => now)
  })
  const answer = (status: number, retryAfter?: string) => ({ status, headers: headers(retryAfter) })

  it('lets requests through until a response asks to wait', () => {
    const first = gate.enter()
    gate.enter()(answer(500, '10'))
    gate.enter()(answer(429))
    first(answer(429, '20'))
    expect(() => gate.enter()).toThrow(expect.objectContaining({ code: 'rate_limited', retryAfter: 20 }))
    now += 20_000
    expect(() => gate.enter()).not.toThrow()
    expect(() => gate.enter()).not.toThrow()
  })

  it('lets a single request through after the longest wait, then all when that one succeeds', () => {
    gate.enter()(answer(429, '100000'))
    now += MAX_RETRY_AFTER * 1_000
    const trial = gate.enter()
    expect(() => gate.enter()).toThrow(expect.objectContaining({ retryAfter: 10 }))
    trial(answer(200))
    expect(() => gate.enter()).not.toThrow()
    expect(() => gate.enter()).not.toThrow()
  })

  it('lets another single request through when the first was never answered', () => {
    gate.enter()(answer(429, '100000'))
    now += MAX_RETRY_AFTER * 1_000
    gate.enter()
    now += 10_000
    expect(() => gate.enter()).not.toThrow()
    expect(() => gate.enter()).toThrow(/limits requests/)
  })
})

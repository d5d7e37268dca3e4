import { TenancyError } from '@tenantry/multi-tenancy'
import { expect, test } from 'vitest'
import { type Budget, budgetOf, createBudget } from '../src/control-plane/request-budget.ts'
import { retryAfterOf } from '../src/control-plane/retry-after.ts'

const answer = (status: number, headers: Record<string, string> = {}) => ({
  status,
  headers: new Headers(headers),
})

/** Seconds to wait, or `undefined` when the request may be sent. */
function waitOf(budget: Budget, now: number, limit = 1_200): number | undefined {
  try {
    budget.take(limit, now)
    return undefined
  } catch (error) {
    expect(error).toBeInstanceOf(TenancyError)
    expect((error as TenancyError).code).toBe('rate_limited')
    return (error as TenancyError).retryAfter
  }
}

test('no five minutes see more requests than the limit, wherever they begin', () => {
  const budget = createBudget()
  const sent: number[] = []
  for (let now = 0; now < 1_000_000; now += 70) {
    if (waitOf(budget, now, 50) !== undefined) continue
    sent.push(now)
    expect(sent.filter((at) => at > now - 300_000).length).toBeLessThanOrEqual(50)
  }
  expect(sent.length).toBe(50 * 4)
})

test('whoever is refused learns when the next one may be sent', () => {
  const budget = createBudget()
  expect([waitOf(budget, 0, 2), waitOf(budget, 10_000, 2)]).toEqual([undefined, undefined])
  expect(waitOf(budget, 20_000, 2)).toBe(280)
  expect(waitOf(budget, 300_000, 2)).toBeUndefined()
  expect(waitOf(budget, 300_000, 2)).toBe(10)
})

test('after a 429 nothing is sent until it said, or for five minutes when it did not say', () => {
  const budget = createBudget()
  budget.learn(answer(429, { 'retry-after': '17' }), 0)
  expect(waitOf(budget, 16_999)).toBeCloseTo(0.001)
  expect(waitOf(budget, 17_000)).toBeUndefined()
  budget.learn(answer(429), 20_000)
  expect(waitOf(budget, 20_000)).toBe(300)
})

test('a later, shorter 429 does not shorten an earlier one', () => {
  const budget = createBudget()
  budget.learn(answer(429, { 'retry-after': '100' }), 0)
  budget.learn(answer(429, { 'retry-after': '1' }), 0)
  expect(waitOf(budget, 2_000)).toBe(98)
})

test('what Cloudflare says is left counts requests of other processes too', () => {
  const budget = createBudget()
  budget.learn(answer(200, { ratelimit: '"default";r=1;t=30' }), 0)
  // Overtaken on the way.
  budget.learn(answer(200, { ratelimit: '"default";r=2;t=30' }), 0)
  expect([waitOf(budget, 0), waitOf(budget, 0), waitOf(budget, 30_000)]).toEqual([undefined, 30, undefined])
})

test('one token has one budget in a process, another token another', () => {
  expect(budgetOf('a')).toBe(budgetOf('a'))
  expect(budgetOf('a')).not.toBe(budgetOf('b'))
})

test('Retry-After is seconds or a date', () => {
  const now = Date.UTC(2026, 0, 1)
  const of = (value: string) => retryAfterOf(new Headers({ 'retry-after': value }), now)
  expect(of('7')).toBe(7)
  expect(of(new Date(now + 5_000).toUTCString())).toBe(6)
  expect(of(new Date(now - 60_000).toUTCString())).toBe(0)
  expect(of('soon')).toBeUndefined()
  expect(retryAfterOf(new Headers(), now)).toBeUndefined()
})

import { describe, expect, test } from 'vitest'
import { createRequestBudget, getRequestBudget } from '../src/control-plane/request-budget.ts'

/** A budget on a clock of the test's, asked by one process with this limit. */
function createTestBudget(limit = 1_200) {
  let time = 0
  const gate = createRequestBudget().createGate(limit, () => time)
  return {
    /** Sends a request; a rejected one returns the seconds to wait. */
    send(now: number): number | undefined {
      time = now
      try {
        gate.enter()
        return undefined
      } catch (error) {
        expect(error).toMatchObject({ code: 'rate_limited' })
        return (error as { retryAfter?: number }).retryAfter
      }
    },
    /** Sends a request and receives a response with this status and these headers. */
    receive(now: number, status: number, headers: Record<string, string> = {}): void {
      time = now
      gate.enter()({ status, headers: new Headers(headers) })
    },
    /** Sends several requests, then receives their responses. */
    receiveAll(now: number, headers: Record<string, string>[]): void {
      time = now
      const requests = headers.map(() => gate.enter())
      for (const [index, receive] of requests.entries()) {
        receive({ status: 200, headers: new Headers(headers[index]) })
      }
    },
  }
}

test('no period of five minutes has more requests than the limit', () => {
  const budget = createTestBudget(50)
  const sent: number[] = []
  for (let now = 0; now < 1_000_000; now += 70) {
    if (budget.send(now) !== undefined) continue
    sent.push(now)
    expect(sent.filter((time) => time > now - 300_000).length).toBeLessThanOrEqual(50)
  }
  expect(sent.length).toBe(50 * 4)
})

test('a rejected request reports when the next one may be sent', () => {
  const budget = createTestBudget(2)
  expect([budget.send(0), budget.send(10_000)]).toEqual([undefined, undefined])
  expect(budget.send(20_000)).toBe(280)
  expect(budget.send(300_000)).toBeUndefined()
  expect(budget.send(300_000)).toBe(10)
})

describe('after a response with status 429', () => {
  test('no request is sent until its Retry-After has passed', () => {
    const budget = createTestBudget()
    budget.receive(0, 429, { 'retry-after': '17' })
    expect(budget.send(16_999)).toBeCloseTo(0.001)
    expect(budget.send(17_000)).toBeUndefined()
  })

  test('no request is sent for five minutes where it has no Retry-After', () => {
    const budget = createTestBudget()
    budget.receive(20_000, 429)
    expect(budget.send(20_000)).toBe(300)
  })

  test('a later, shorter Retry-After does not shorten the block', () => {
    let time = 0
    const gate = createRequestBudget().createGate(1_200, () => time)
    const [first, second] = [gate.enter(), gate.enter()]
    first({ status: 429, headers: new Headers({ 'retry-after': '100' }) })
    second({ status: 429, headers: new Headers({ 'retry-after': '1' }) })
    time = 2_000
    expect(() => gate.enter()).toThrow(expect.objectContaining({ retryAfter: 98 }))
  })
})

test('the requests of other processes count, as the Ratelimit header reports them', () => {
  const budget = createTestBudget()
  // The second response is older than the first.
  budget.receiveAll(0, [{ ratelimit: '"default";r=1;t=30' }, { ratelimit: '"default";r=2;t=30' }])
  expect([budget.send(0), budget.send(0), budget.send(30_000)]).toEqual([undefined, 30, undefined])
})

test('providers share the budget of one token, and no other', () => {
  expect(getRequestBudget('a')).toBe(getRequestBudget('a'))
  expect(getRequestBudget('a')).not.toBe(getRequestBudget('b'))
})

import { createSimulatedClock } from '@tenantry/test-support'
import { describe, expect, test } from 'vitest'
import { poll, retry } from '../../src/util/retry.ts'

function failing(times: number): () => Promise<string> {
  let calls = 0
  return async () => {
    if (++calls <= times) throw new Error(`failure ${calls}`)
    return `call ${calls}`
  }
}

describe('retry', () => {
  test('repeats with delays that double up to the longest, with full jitter', async () => {
    const clock = createSimulatedClock()
    expect(await retry(clock, { baseDelay: 100, maxDelay: 300 }, failing(4))).toBe('call 5')
    expect(clock.slept).toEqual([50, 100, 150, 150])
  })

  test('throws the last error when the attempts are used up', async () => {
    const clock = createSimulatedClock()
    await expect(retry(clock, { attempts: 3 }, failing(9))).rejects.toThrow('failure 3')
    expect(clock.slept).toHaveLength(2)
  })

  test('begins no attempt after the timeout', async () => {
    const clock = createSimulatedClock()
    await expect(retry(clock, { timeout: 160, baseDelay: 100 }, failing(9))).rejects.toThrow('failure 3')
    expect(clock.slept).toEqual([50, 100])
  })

  test('ends with a failure that cannot pass, and waits as long as one asks for', async () => {
    const clock = createSimulatedClock()
    const isRetryable = (error: unknown) => ((error as Error).message === 'failure 1' ? 1_234 : false)
    await expect(retry(clock, { isRetryable }, failing(9))).rejects.toThrow('failure 2')
    expect(clock.slept).toEqual([1_234])
  })

  test('reports each retry with the attempt that failed and the delay', async () => {
    const seen: unknown[] = []
    await retry(
      createSimulatedClock(),
      { onRetry: (error, context) => seen.push([String(error), context]) },
      failing(2),
    )
    expect(seen).toEqual([
      ['Error: failure 1', { attempt: 1, delay: 50 }],
      ['Error: failure 2', { attempt: 2, delay: 100 }],
    ])
  })

  test('ends during a delay when the signal is aborted, with its reason', async () => {
    const controller = new AbortController()
    const clock = { ...createSimulatedClock(), sleep: () => new Promise<void>(() => {}) }
    const onRetry = () => controller.abort(new Error('stopped'))
    await expect(retry(clock, { signal: controller.signal, onRetry }, failing(9))).rejects.toThrow('stopped')
  })
})

describe('poll', () => {
  test('resolves with the first value that is not undefined', async () => {
    const clock = createSimulatedClock()
    expect(await poll(clock, {}, async (attempt) => (attempt === 3 ? 'there' : undefined))).toBe('there')
    expect(clock.slept).toHaveLength(2)
  })

  test('resolves with undefined when the time is used up, and throws what the check throws', async () => {
    expect(await poll(createSimulatedClock(), { timeout: 1_000 }, async () => undefined)).toBeUndefined()
    const broken = poll(createSimulatedClock(), {}, () => Promise.reject(new Error('broken')))
    await expect(broken).rejects.toThrow('broken')
  })
})

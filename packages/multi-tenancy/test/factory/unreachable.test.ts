import { createSimulatedClock } from '@tenantry/test-support'
import { describe, expect, test } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { createRecordedProvider } from './recorded-provider.ts'

/** What a driver throws whose server cannot be reached. */
function networkError(code: string): Error {
  return new Error('fetch failed', {
    cause: Object.assign(new Error(`connect ${code} 127.0.0.1:9`), { code }),
  })
}

function unreachable(code: string) {
  const environment = createSimulatedClock()
  const start = environment.now()
  const reported: { operation: string; attempt: number | undefined }[] = []
  const { provider, calls } = createRecordedProvider({
    create: () => Promise.reject(networkError(code)),
    find: () => Promise.reject(networkError(code)),
  })
  provider.mapError = (cause) =>
    cause instanceof TenancyError
      ? cause
      : new TenancyError('provider_unavailable', (cause as Error).message, { cause, retryAfter: 1 })
  const factory = defineFactory(provider, {
    environment,
    onError: (_, { operation, retry }) => void reported.push({ operation, attempt: retry?.attempt }),
  })
  return { factory, calls, reported, elapsed: () => environment.now() - start }
}

describe('a server that cannot be reached', () => {
  test('fails provision within seconds where it refuses connections, and reports each retry', async () => {
    const { factory, elapsed, reported } = unreachable('ECONNREFUSED')
    await expect(factory.provision('acme')).rejects.toMatchObject({
      code: 'provider_unavailable',
      step: 'create',
    })
    expect(elapsed()).toBeGreaterThan(1_000)
    expect(elapsed()).toBeLessThanOrEqual(5_000)
    expect(reported).toEqual([
      ...[1, 2, 3, 4].map((attempt) => ({ operation: 'create', attempt })),
      { operation: 'provision', attempt: undefined },
    ])
  })

  test('fails provision immediately where its name has no address', async () => {
    const { factory, calls, elapsed } = unreachable('ENOTFOUND')
    await expect(factory.provision('acme')).rejects.toMatchObject({ code: 'provider_unavailable' })
    expect([calls.create, elapsed()]).toEqual([1, 0])
  })

  test('fails a request within seconds, too', async () => {
    const { factory, elapsed } = unreachable('ECONNREFUSED')
    await expect(factory.getAdapters('acme')).rejects.toMatchObject({ code: 'provider_unavailable' })
    expect(elapsed()).toBeLessThanOrEqual(5_000)
  })

  test('is waited for as long as the step may take where the connection was lost', async () => {
    const { factory, elapsed } = unreachable('ECONNRESET')
    await expect(factory.provision('acme')).rejects.toMatchObject({ code: 'provider_unavailable' })
    expect(elapsed()).toBeGreaterThan(100_000)
  })
})

import { createSimulatedClock } from '@tenantry/test-support'
import { expect, test, vi } from 'vitest'
import { defineFactory } from '../../src/factory/define-factory.ts'
import type { CallOptions } from '../../src/types/provider.ts'
import { createRecordedProvider } from './recorded-provider.ts'

test("reads a tenant's stamp once per cached locator although every request connects", async () => {
  const clock = createSimulatedClock({ runtime: 'workers' })
  const { provider, calls } = createRecordedProvider()
  const options = { environment: clock, cache: { locatorTtl: 60_000 } }
  await defineFactory(provider, options).provision('acme')
  const factory = defineFactory(provider, options)
  await factory.getAdapters('acme')
  const { query, connect } = { ...calls }
  for (let request = 0; request < 10; request++) await factory.getAdapters('acme')
  expect(calls).toMatchObject({ query, connect: connect + 10 })
  clock.skip(60_001)
  await factory.getAdapters('acme')
  expect(calls.query).toBe(query + 1)
})

test('verifies the stamp in a request although provision has read it', async () => {
  const { provider, calls } = createRecordedProvider()
  const factory = defineFactory(provider, { environment: createSimulatedClock({ runtime: 'workers' }) })
  await factory.provision('acme')
  calls.query = 0
  await factory.getAdapters('acme')
  expect(calls.query).toBe(1)
})

test('opens a cached tenant without a timer and a signal', async () => {
  const { provider } = createRecordedProvider()
  const connects: string[] = []
  const factory = defineFactory(
    {
      ...provider,
      connect: (target, options) => {
        connects.push('connect')
        return provider.connect(target, options)
      },
    },
    { environment: { runtime: 'workers' } },
  )
  await factory.provision('acme')
  await factory.getAdapters('acme')
  connects.length = 0
  const timers = vi.spyOn(globalThis, 'setTimeout')
  const signals = vi.spyOn(globalThis, 'AbortController')
  try {
    await factory.getAdapters('acme')
    expect(connects).toEqual(['connect'])
    expect(timers).not.toHaveBeenCalled()
    expect(signals).not.toHaveBeenCalled()
  } finally {
    vi.restoreAllMocks()
  }
})

test('reports the abort to work that reads its signal late', async () => {
  const { provider } = createRecordedProvider()
  let receivedOptions: CallOptions | undefined
  const factory = defineFactory(
    {
      ...provider,
      find: (_name, options) => {
        receivedOptions = options
        return new Promise(() => {})
      },
    },
    { environment: { runtime: 'workers' }, openTimeout: 20 },
  )
  await expect(factory.getAdapters('acme')).rejects.toMatchObject({ code: 'timeout' })
  expect(receivedOptions?.signal.aborted).toBe(true)
})

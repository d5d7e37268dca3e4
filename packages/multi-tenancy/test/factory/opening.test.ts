import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createGate, createSimulatedClock } from '@tenantry/test-support'
import { describe, expect, test } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { createMemoryProvider, createMemoryServer } from '../../src/memory/index.ts'
import { HOSTILE_IDS } from '../hostile-ids.ts'
import { createRecordedProvider } from './recorded-provider.ts'

// Collect garbage before memory is measured, so that only retained objects count.
setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

const coded = (code: string): object => expect.objectContaining({ code })

describe('opening a tenant', () => {
  test('opens once for 1,000 concurrent first requests', async () => {
    const { provider, calls } = createRecordedProvider()
    const factory = defineFactory(provider)
    await factory.provision('acme')
    calls.connect = calls.find = 0
    factory.release('acme')
    const all = await Promise.all(Array.from({ length: 1_000 }, () => factory.getAdapters('acme')))
    expect(new Set(all).size).toBe(1)
    expect(calls).toMatchObject({ connect: 1, find: 1 })
  })

  test('serves a cached tenant without a call of the provider', async () => {
    const { provider, calls } = createRecordedProvider()
    const factory = defineFactory(provider)
    await factory.provision('acme')
    await factory.getAdapters('acme')
    const before = { ...calls }
    await factory.getAdapters('acme')
    expect(calls).toEqual(before)
  })

  test('reports a failure to every waiting caller and caches none', async () => {
    let broken = true
    const memory = createMemoryProvider()
    const { provider, calls } = createRecordedProvider({
      ...memory,
      connect: (...args) =>
        broken ? Promise.reject(new TenancyError('credentials_rejected', 'no')) : memory.connect(...args),
    })
    const factory = defineFactory(provider)
    broken = false
    await factory.provision('acme')
    broken = true
    calls.connect = 0
    const failed = await Promise.allSettled(Array.from({ length: 50 }, () => factory.getAdapters('acme')))
    expect(
      failed.every((each) => each.status === 'rejected' && each.reason.code === 'credentials_rejected'),
    ).toBe(true)
    expect(calls.connect).toBe(1)
    broken = false
    await expect(factory.getAdapters('acme')).resolves.toBeDefined()
  })

  test('evicts the least recently used tenant above `max`, and every tenant after `ttl`', async () => {
    const clock = createSimulatedClock()
    const { provider, calls } = createRecordedProvider()
    const factory = defineFactory(provider, { environment: clock, cache: { max: 2, ttl: 1_000 } })
    for (const id of ['one', 'two', 'three']) await factory.provision(id)
    calls.connect = 0
    for (const id of ['one', 'two', 'one', 'three', 'one']) await factory.getAdapters(id)
    expect(calls.connect).toBe(3)
    await factory.getAdapters('two')
    expect(calls.connect).toBe(4)
    clock.skip(1_001)
    await factory.getAdapters('two')
    expect(calls.connect).toBe(5)
  })

  test('rejects adapters that are undefined', async () => {
    const server = createMemoryServer()
    await defineFactory(createMemoryProvider(server)).provision('acme')
    const factory = defineFactory(createMemoryProvider(server), { createAdapters: () => undefined })
    await expect(factory.getAdapters('acme')).rejects.toEqual(coded('internal'))
  })

  test('retries a transient failure after its retryAfter, until `openTimeout`', async () => {
    const clock = createSimulatedClock()
    const memory = createMemoryProvider()
    let failures = 0
    let retryAfter: number | undefined
    const flaky = {
      ...memory,
      find: (...args: Parameters<typeof memory.find>) => {
        if (failures-- <= 0) return memory.find(...args)
        const hint = retryAfter === undefined ? {} : { retryAfter }
        return Promise.reject(new TenancyError('rate_limited', 'slow down', hint))
      },
    }
    const factory = defineFactory(flaky, {
      environment: clock,
      openTimeout: 10_000,
      cache: { locatorTtl: 0, max: 0 },
    })
    await factory.provision('acme')
    failures = 2
    await factory.getAdapters('acme')
    expect(clock.slept).toEqual([50, 100])
    failures = 1
    retryAfter = 3
    await factory.getAdapters('acme')
    expect(clock.slept.at(-1)).toBe(3_000)
    failures = 1
    retryAfter = 300
    await expect(factory.getAdapters('acme')).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfter: 300,
      step: 'open',
    })
  })

  test('reports timeout for a provider that never replies', async () => {
    const memory = createMemoryProvider()
    const factory = defineFactory({ ...memory, find: () => new Promise(() => {}) }, { openTimeout: 20 })
    await expect(factory.getAdapters('acme')).rejects.toMatchObject({ code: 'timeout', tenantId: 'acme' })
  })

  test('passes no hostile id to the provider', async () => {
    const { provider, calls } = createRecordedProvider()
    const factory = defineFactory(provider)
    for (const id of HOSTILE_IDS) {
      for (const call of [factory.getAdapters, factory.provision, factory.deprovision, factory.migrate]) {
        await expect(call(id as string)).rejects.toEqual(coded('invalid_tenant_id'))
      }
    }
    expect(Object.values(calls).every((count) => count === 0)).toBe(true)
  })
})

describe('unknown tenants', () => {
  test('cost bounded look-ups, one list per window and bounded memory for 100,000 random ids', {
    timeout: 60_000,
  }, async () => {
    const clock = createSimulatedClock()
    const { provider, calls, server } = createRecordedProvider()
    const factory = defineFactory(provider, {
      environment: clock,
      cache: { unknownLookups: 100, negativeTtl: 10_000 },
    })
    await factory.provision('acme')
    factory.release('acme')
    calls.find = 0
    collect()
    const heap = process.memoryUsage().heapUsed
    for (let index = 0; index < 100_000; index++) {
      await factory.getAdapters(`random-${index}`).then(
        () => expect.unreachable(),
        (error: TenancyError) => expect(error.code).toBe('tenant_not_found'),
      )
    }
    expect(calls).toMatchObject({ find: 100, list: 1, connect: 1 })
    collect()
    expect(process.memoryUsage().heapUsed - heap).toBeLessThan(64 * 1_024 * 1_024)
    // Real tenants are still found in the middle of it, old and new.
    await expect(factory.getAdapters('acme')).resolves.toBeDefined()
    await factory.provision('random-7')
    await expect(factory.getAdapters('random-7')).resolves.toBeDefined()
    await defineFactory(createMemoryProvider(server)).provision('random-8')
    factory.release('random-8')
    await expect(factory.getAdapters('random-8')).resolves.toBeDefined()
  })

  test('stay within the limit in a concurrent burst', async () => {
    const { provider, calls } = createRecordedProvider()
    const factory = defineFactory(provider, { cache: { unknownLookups: 100 } })
    await Promise.allSettled(
      Array.from({ length: 5_000 }, (_, index) => factory.getAdapters(`burst-${index}`)),
    )
    expect(calls).toMatchObject({ find: 100, list: 1 })
  })

  test('are served immediately when created here, and within `negativeTtl` when created elsewhere', async () => {
    const clock = createSimulatedClock()
    const server = createMemoryServer()
    const here = defineFactory(createMemoryProvider(server), {
      environment: clock,
      cache: { negativeTtl: 10_000 },
    })
    const elsewhere = defineFactory(createMemoryProvider(server))
    await expect(here.getAdapters('acme')).rejects.toEqual(coded('tenant_not_found'))
    await expect(here.getAdapters('bolt')).rejects.toEqual(coded('tenant_not_found'))
    await here.provision('acme')
    await expect(here.getAdapters('acme')).resolves.toBeDefined()
    await elsewhere.provision('bolt')
    clock.skip(10_001)
    await expect(here.getAdapters('bolt')).resolves.toBeDefined()
  })

  test('are not reported for a failed look-up', async () => {
    const memory = createMemoryProvider()
    let down = false
    const factory = defineFactory(
      { ...memory, find: (...args) => (down ? Promise.reject(new Error('down')) : memory.find(...args)) },
      { cache: { locatorTtl: 0 } },
    )
    await factory.provision('acme')
    down = true
    await expect(factory.getAdapters('acme')).rejects.toEqual(coded('provider_rejected'))
    down = false
    await expect(factory.getAdapters('acme')).resolves.toBeDefined()
  })
})

describe('on Workers', () => {
  test('creates a client for each request, from a cached locator', async () => {
    const { provider, calls } = createRecordedProvider()
    const factory = defineFactory(provider, { environment: createSimulatedClock({ runtime: 'workers' }) })
    await factory.provision('acme')
    calls.connect = 0
    const [one, two] = [await factory.getAdapters('acme'), await factory.getAdapters('acme')]
    expect(one).not.toBe(two)
    expect(calls).toMatchObject({ connect: 2, find: 0 })
  })

  test("lets no request wait for another request's promise", async () => {
    const memory = createMemoryProvider()
    const stuck = createGate()
    let first = true
    const factory = defineFactory(
      {
        ...memory,
        connect: async (...args) => {
          if (first) {
            first = false
            await stuck.pass()
          }
          return memory.connect(...args)
        },
      },
      { environment: createSimulatedClock({ runtime: 'workers' }) },
    )
    await defineFactory(memory).provision('acme')
    const leader = factory.getAdapters('acme')
    await expect(factory.getAdapters('acme')).resolves.toBeDefined()
    stuck.open()
    await leader
  })
})

describe('a closed factory', () => {
  test('rejects every call, also for cached tenants', async () => {
    const factory = defineFactory(createMemoryProvider())
    await factory.provision('acme')
    await factory.getAdapters('acme')
    await factory.close()
    await factory.close()
    for (const call of [factory.getAdapters, factory.provision, factory.deprovision, factory.migrate]) {
      await expect(call('acme')).rejects.toEqual(coded('closed'))
    }
  })
})

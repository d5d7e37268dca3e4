import { createGate, createSimulatedClock } from '@tenantry/test-support'
import { describe, expect, test } from 'vitest'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { createLookupCache } from '../../src/factory/lookup-cache.ts'
import { createMemoryProvider } from '../../src/memory/index.ts'
import { parseTenantId } from '../../src/tenant-id.ts'
import { createEnvironment } from '../../src/util/environment.ts'

const id = parseTenantId('acme')
const call = { signal: new AbortController().signal }
const options = {
  locatorMax: 10,
  locatorTtl: 60_000,
  negativeMax: 10,
  negativeTtl: 60_000,
  unknownLookups: 10,
}

/** A finder whose look-ups wait, each with its own answer. */
function slowFinder() {
  const answers: ((found: string | undefined) => void)[] = []
  const finder = createLookupCache<string>(
    {
      toKey: (tenantId) => tenantId,
      keys: async () => new Set(),
      find: () => new Promise((resolve) => answers.push(resolve)),
    },
    createEnvironment({ runtime: 'node' }),
    options,
  )
  return { finder, answers }
}

describe('a look-up during which the tenant changes', () => {
  test.each(['forget', 'remember'] as const)('is not cached after %s', async (change) => {
    const { finder, answers } = slowFinder()
    const lookup = finder.find(id, call)
    await Promise.resolve()
    if (change === 'forget') finder.forget(id)
    else finder.remember(id, 'new')
    answers[0]?.('old')
    expect(await lookup).toBe('old')
    expect(finder.peek(id)).toBe(change === 'forget' ? undefined : 'new')
  })

  test('does not cache a tenant as unknown that was provisioned meanwhile', async () => {
    const { finder, answers } = slowFinder()
    const lookup = finder.find(id, call).catch((error) => error.code)
    await Promise.resolve()
    finder.forget(id)
    answers[0]?.(undefined)
    expect(await lookup).toBe('tenant_not_found')
    const again = finder.find(id, call)
    await Promise.resolve()
    answers[1]?.('there')
    expect(await again).toBe('there')
  })

  test('is cached when nothing changed, and its failure is not', async () => {
    const { finder, answers } = slowFinder()
    const lookup = finder.find(id, call)
    await Promise.resolve()
    answers[0]?.('there')
    await lookup
    expect(finder.peek(id)).toBe('there')
  })
})

test('completes a deletion although the tenant is provisioned again immediately', async () => {
  const clock = createSimulatedClock()
  const memory = createMemoryProvider()
  let generation = 0
  const factory = defineFactory(
    {
      ...memory,
      create: async (name, given) => ({
        ...(await memory.create(name, given)),
        locator: { name, generation },
      }),
      find: async (name, given) => (await memory.find(name, given)) && { name, generation },
      async drop(locator, given) {
        await memory.drop(locator, given)
        generation++
        await memory.create(String(locator.name), given)
      },
    },
    { environment: clock },
  )
  await factory.provision('acme')
  await factory.deprovision('acme')
  expect(clock.slept).toEqual([])
})

test('accepts a step timeout beyond the range of timers', async () => {
  const gate = createGate()
  const memory = createMemoryProvider()
  let calls = 0
  const factory = defineFactory(memory, {
    stepTimeout: 2 ** 40,
    async seed() {
      calls++
      await gate.pass()
    },
  })
  const provisioning = factory.provision('acme')
  await new Promise((resolve) => setTimeout(resolve, 50))
  gate.open()
  await provisioning
  expect(calls).toBe(1)
})

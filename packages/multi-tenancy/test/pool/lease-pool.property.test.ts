import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createFakeDriver, createFakePool, flush } from './harness.ts'
import { createModel, type ModelOptions } from './model.ts'

const key = fc.constantFrom('a', 'b', 'c')

const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('acquire' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abort' as const), index: fc.nat(20) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('release' as const),
      index: fc.nat(5),
      how: fc.constantFrom('release', 'release', 'release', 'release', 'destroy', 'invalidate'),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({ do: fc.constant('step' as const), steps: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 150 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('error' as const), index: fc.nat(10) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('drain' as const), key, deadline: fc.constantFrom(1, 60, 300) }),
  },
)

const options: fc.Arbitrary<ModelOptions> = fc.record({
  max: fc.integer({ min: 1, max: 4 }),
  maxPerKey: fc.integer({ min: 1, max: 3 }),
  maxUses: fc.constantFrom(1, 3, Number.POSITIVE_INFINITY),
  retarget: fc.boolean(),
  alike: fc.boolean(),
  hasNoTimeouts: fc.boolean(),
  outcomes: fc.array(
    fc.oneof(
      { weight: 12, arbitrary: fc.constant('ok' as const) },
      { weight: 1, arbitrary: fc.constant('fail' as const) },
      { weight: 1, arbitrary: fc.constant('hang' as const) },
    ),
    { minLength: 1, maxLength: 30, size: 'max' },
  ),
})

describe('any events in any order', () => {
  test('leases are exclusive, clean and of their key, caps hold, each connection closes once, unused, and every promise settles', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        options,
        fc.array(action, { maxLength: 80, size: 'max' }),
        async (scheduler, config, actions) => {
          const model = createModel(scheduler, config)
          const callers: AbortController[] = []
          for (const next of actions) {
            if (next.do === 'acquire') {
              const caller = new AbortController()
              callers.push(caller)
              model.acquire(next.key, caller.signal)
            } else if (next.do === 'abort') callers[next.index]?.abort()
            else if (next.do === 'release') model.release(next.index, next.how)
            else if (next.do === 'drain') model.drain(next.key, next.deadline)
            else if (next.do === 'advance') model.pool.clock.advance(next.ms)
            else if (next.do === 'error') {
              const connection = model.pool.driver.connections[next.index]
              if (connection !== undefined) model.pool.invalidate(connection)
            } else {
              for (let step = 0; step < next.steps && scheduler.count() > 0; step++)
                await scheduler.waitNext(1)
            }
            await flush()
            model.check()
          }
          await model.finish()
        },
      ),
      { numRuns: 600 },
    )
  })
})

describe('no key starves', () => {
  test('a waiting key under its cap is served before any other waiting key is served twice', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.boolean(),
        fc.boolean(),
        fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { minLength: 1, maxLength: 30 }),
        fc.infiniteStream(fc.nat(10)),
        async (max, retargets, alike, arrivals, picks) => {
          const driver = createFakeDriver()
          const pool = createFakePool({
            max,
            maxPerKey: max,
            driver,
            ...(retargets && { retarget: driver.retarget }),
            ...(alike && { shareKey: () => 'any' }),
          })
          const busy = await Promise.all(Array.from({ length: max }, () => pool.acquire('busy', 'busy')))
          const heldLeases = [...busy]
          const waiting = new Map<string, number>()
          const starved: string[] = []
          /** For each waiting key, who was served since its last turn. */
          const since = new Map<string, string[]>()
          for (const name of arrivals) {
            waiting.set(name, (waiting.get(name) ?? 0) + 1)
            since.set(name, [])
            void pool.acquire(name, name).then((lease) => {
              heldLeases.push(lease)
              waiting.set(name, (waiting.get(name) ?? 0) - 1)
              for (const [other, served] of since) if (other !== name) served.push(name)
              since.set(name, [])
              for (const [other, served] of since) {
                if (waiting.get(other) === 0) since.delete(other)
                else if (new Set(served).size < served.length) starved.push(`${served} before ${other}`)
              }
            })
          }
          for (const _ of arrivals) {
            const [lease] = heldLeases.splice((picks.next().value ?? 0) % heldLeases.length, 1)
            lease?.release()
            await flush()
          }
          expect(starved).toEqual([])
          expect([...waiting.values()].filter((count) => count > 0)).toEqual([])
        },
      ),
      { numRuns: 150 },
    )
  })
})

import { expect, it } from 'vitest'
import { createSimulatedClock, getPromiseState, runMacrotask } from '../src/index.ts'

it('wakes sleepers in the order of their times', async () => {
  const clock = createSimulatedClock({ start: 0 })
  const woken: [string, number][] = []
  const sleep = async (name: string, ms: number): Promise<void> => {
    await clock.sleep(ms)
    woken.push([name, clock.now()])
  }
  await Promise.all([sleep('late', 3_600_000), sleep('early', 1), sleep('middle', 60_000)])
  expect(woken).toEqual([
    ['early', 1],
    ['middle', 60_000],
    ['late', 3_600_000],
  ])
  expect(clock.slept).toEqual([3_600_000, 1, 60_000])
})

it('moves immediately when time is skipped, and wakes the sleepers whose time has come', async () => {
  const clock = createSimulatedClock({ start: 5 })
  const sleeping = clock.sleep(10)
  clock.skip(100)
  expect(clock.now()).toBe(105)
  await sleeping
  expect(clock.now()).toBe(105)
})

it('wakes every sleeper whose time comes while the clock is advanced', async () => {
  const clock = createSimulatedClock({ start: 0 })
  const sleeping = clock.sleep(10)
  await clock.advance(10)
  expect(await getPromiseState(sleeping)).toBe('resolved')
  expect(clock.now()).toBe(10)
})

it('stands still while real work is under way', async () => {
  let isBusy = true
  const clock = createSimulatedClock({ start: 0, isBusy: () => isBusy })
  const sleeping = clock.sleep(10)
  for (let turns = 0; turns < 5; turns++) await runMacrotask()
  expect(clock.now()).toBe(0)
  isBusy = false
  await sleeping
  expect(clock.now()).toBe(10)
})

import { runMacrotask } from './gate.ts'

/** A clock for the `environment` option: time passes only when the code under test sleeps or the test says so. */
export interface SimulatedClock {
  readonly runtime: 'node' | 'workers'
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves once the clock has reached the time, after every earlier sleeper. */
  sleep(ms: number): Promise<void>
  random(): number
  /** Lets time pass as a sleeper does: resolves after every sleeper with an earlier time. */
  advance(ms: number): Promise<void>
  /** Moves the clock immediately. Sleepers whose time has come wake up afterwards, in order. */
  skip(ms: number): void
  /** The durations of all calls of `sleep`, in order. */
  readonly slept: readonly number[]
}

export interface SimulatedClockOptions {
  /**
   * The time at which the clock starts, in milliseconds since the epoch.
   *
   * @default 1_700_000_000_000
   */
  readonly start?: number
  /** @default always 0.5 */
  readonly random?: () => number
  /** @default 'node' */
  readonly runtime?: 'node' | 'workers'
  /**
   * Whether work is under way that takes real time, such as a request to a local server: the clock stands still
   * meanwhile. Work in microtasks needs no such function.
   */
  readonly isBusy?: () => boolean
}

/** Consecutive idle checks, 2 ms apart, before real work counts as finished: a response is read in several turns. */
const IDLE_CHECKS = 3

/**
 * Creates a clock that moves to the next sleeper's time as soon as nothing is left to do but wait, so that retries
 * and timeouts take no real time and happen in the order of their times.
 */
export function createSimulatedClock({
  start = 1_700_000_000_000,
  random = () => 0.5,
  runtime = 'node',
  isBusy,
}: SimulatedClockOptions = {}): SimulatedClock {
  let now = start
  let isRunning = false
  const slept: number[] = []
  const sleepers: { readonly wakeAt: number; readonly wake: () => void }[] = []

  async function waitUntilIdle(): Promise<void> {
    await runMacrotask()
    if (isBusy === undefined) return
    for (let checks = 0; checks < IDLE_CHECKS; checks = isBusy() ? 0 : checks + 1)
      await new Promise((resolve) => setTimeout(resolve, 2))
  }

  async function wakeSleepers(): Promise<void> {
    if (isRunning) return
    isRunning = true
    while (sleepers.length > 0) {
      await waitUntilIdle()
      const next = sleepers.shift()
      if (next === undefined) break
      now = Math.max(now, next.wakeAt)
      next.wake()
    }
    isRunning = false
  }

  function sleepUntil(wakeAt: number): Promise<void> {
    return new Promise((wake) => {
      const index = sleepers.findIndex((other) => other.wakeAt > wakeAt)
      sleepers.splice(index < 0 ? sleepers.length : index, 0, { wakeAt, wake })
      void wakeSleepers()
    })
  }

  return {
    runtime,
    random,
    slept,
    now: () => now,
    sleep(ms) {
      slept.push(ms)
      return sleepUntil(now + ms)
    },
    advance: (ms) => sleepUntil(now + ms),
    skip(ms) {
      now += ms
    },
  }
}

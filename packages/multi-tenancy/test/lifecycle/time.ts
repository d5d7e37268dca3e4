import type { Environment } from '../../src/util/environment.ts'

/** A clock that only moves when nothing is left to do but wait. */
export interface SimulatedTime extends Environment {
  /** Lets so many milliseconds pass, waking whoever sleeps until then. */
  advance(ms: number): Promise<void>
}

/**
 * Time as in a simulation: whoever sleeps is woken in order, once everybody who is awake has come to wait. All work
 * here is done in microtasks (SQLite in this process), so a macrotask finds nobody at work.
 */
export function simulatedTime(
  random: () => number = () => 0.5,
  runtime: Environment['runtime'] = 'node',
): SimulatedTime {
  let now = 1_700_000_000_000
  let pumping = false
  const sleepers: { at: number; wake: () => void }[] = []

  function pump(): void {
    pumping = false
    const next = sleepers.shift()
    if (next === undefined) return
    now = Math.max(now, next.at)
    next.wake()
    schedule()
  }
  function schedule(): void {
    if (pumping || sleepers.length === 0) return
    pumping = true
    setImmediate(pump)
  }
  function sleep(ms: number): Promise<void> {
    return new Promise((wake) => {
      const at = now + ms
      const index = sleepers.findIndex((other) => other.at > at)
      sleepers.splice(index < 0 ? sleepers.length : index, 0, { at, wake })
      schedule()
    })
  }
  return { runtime, now: () => now, sleep, random, advance: sleep }
}

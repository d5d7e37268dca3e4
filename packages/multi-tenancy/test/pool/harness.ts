import { createLeasePool, type LeasePool } from '../../src/provider-kit/pool/lease-pool.ts'
import type { LeasePoolOptions, LeasePoolStep, TimerOptions } from '../../src/provider-kit/pool/options.ts'

/** A clock that only a test moves, with its timers. */
export interface Clock {
  now(): number
  setTimer(callback: () => void, ms: number, options?: TimerOptions): () => void
  advance(ms: number): void
  /** Timers that would keep a process alive. */
  foreground(): number
  background(): number
}

export function createClock(): Clock {
  let time = 1_000_000
  const timers = new Set<{ at: number; background: boolean; callback: () => void }>()
  const count = (background: boolean): number =>
    [...timers].filter((timer) => timer.background === background).length
  return {
    now: () => time,
    setTimer(callback, ms, { background = false } = {}) {
      const timer = { at: time + ms, background, callback }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    advance(ms) {
      const end = time + ms
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
        if (next === undefined) break
        timers.delete(next)
        time = Math.max(time, next.at)
        next.callback()
      }
      time = end
    },
    foreground: () => count(false),
    background: () => count(true),
  }
}

/** A connection as the fake server knows it. */
export interface FakeConnection {
  readonly id: number
  key: string
  open: boolean
  /** Set by the caller that leased the connection, and cleared when it is cleaned. */
  dirty: boolean
}

export type Hook = (
  step: LeasePoolStep,
  key: string,
  connection: FakeConnection | undefined,
  signal: AbortSignal | undefined,
) => void | Promise<void>

export interface FakeDriver
  extends Pick<Required<LeasePoolOptions<FakeConnection, string>>, 'open' | 'close' | 'clean' | 'retarget'> {
  readonly connections: FakeConnection[]
  /** `open acme 1`, `close acme 1`, … as they began. */
  readonly log: string[]
  /** Connections the server counts now, being opened and closed included. */
  count(key?: string): number
}

/** A driver whose every step runs `hook` first, which may wait or throw; a target is its key. */
export function createFakeDriver(hook: Hook = () => {}): FakeDriver {
  const connections: FakeConnection[] = []
  const log: string[] = []
  const places = new Map<object, readonly string[]>()
  let ids = 0
  return {
    connections,
    log,
    count: (key) => [...places.values()].filter((keys) => key === undefined || keys.includes(key)).length,
    async open(key, { signal }) {
      const connection = { id: ++ids, key, open: true, dirty: false }
      log.push(`open ${key} ${connection.id}`)
      places.set(connection, [key])
      try {
        await hook('open', key, connection, signal)
      } catch (error) {
        places.delete(connection)
        throw error
      }
      connections.push(connection)
      return connection
    },
    async close(connection) {
      log.push(`close ${connection.key} ${connection.id}`)
      if (!connection.open) throw new Error('closed twice')
      connection.open = false
      try {
        await hook('close', connection.key, connection, undefined)
      } finally {
        places.delete(connection)
      }
    },
    async clean(connection) {
      log.push(`clean ${connection.key} ${connection.id}`)
      await hook('clean', connection.key, connection, undefined)
      connection.dirty = false
      return true
    },
    async retarget(connection, key, { signal }) {
      log.push(`retarget ${connection.key} ${connection.id} to ${key}`)
      places.set(connection, [connection.key, key])
      await hook('retarget', key, connection, signal)
      if (!connection.open) return
      connection.key = key
      places.set(connection, [key])
    },
  }
}

export type FakePool = LeasePool<FakeConnection, string> & {
  driver: FakeDriver
  clock: Clock
  reported: string[]
}

/** A pool over a fake driver: without retargeting and cleaning unless the options bring them. */
export function createFakePool(
  options: Partial<LeasePoolOptions<FakeConnection, string>> & { driver?: FakeDriver } = {},
): FakePool {
  const { driver = createFakeDriver(), ...rest } = options
  const clock = createClock()
  const reported: string[] = []
  const pool = createLeasePool<FakeConnection, string>({
    open: driver.open,
    close: driver.close,
    now: clock.now,
    setTimer: clock.setTimer,
    random: () => 0,
    onError: (error, step) => reported.push(`${step}: ${(error as Error).message}`),
    ...rest,
  })
  return { ...pool, driver, clock, reported }
}

/** Lets everything run that waits for nothing but its turn. */
export function flush(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Where a promise stands. */
export async function state(promise: Promise<unknown>): Promise<'pending' | 'resolved' | 'rejected'> {
  let current: 'pending' | 'resolved' | 'rejected' = 'pending'
  promise.then(
    () => {
      current = 'resolved'
    },
    () => {
      current = 'rejected'
    },
  )
  await flush()
  return current
}

/** A promise settled from outside. */
export function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void
  const promise = new Promise<void>((resolvePromise) => {
    resolve = resolvePromise
  })
  return { promise, resolve }
}

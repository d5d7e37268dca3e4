import { TenancyError } from '../../errors.ts'
import type { FairQueue } from './fair-queue.ts'
import { guardDriver } from './guarded-driver.ts'
import { createIdleSet } from './idle-set.ts'
import { createLease, type Lease } from './lease.ts'
import type { LeasePoolSettings } from './options.ts'
import type { Waiter } from './waiter.ts'

/** The place of one connection: counted from before it opens until after it closed. */
interface Slot<Connection> {
  /** Whose it is; while it is idle and alike to others, its kind. */
  key: string
  /** What it waits under when idle: its kind, or its key where that is undefined. */
  kind: string | undefined
  /** The key it is being turned away from: counted for both meanwhile. */
  from?: string | undefined
  connection?: Connection | undefined
  /** While it is made ready for a waiter. */
  filling?: AbortController | undefined
  /** While it is in use. */
  lease?: Lease<Connection> | undefined
  expires: number
  uses: number
}

/** Milliseconds that one being cleaned is waited for before another is opened: opening takes longer, mostly. */
const PATIENCE = 20

/** How many of what there are now. */
export interface ConnectionStats {
  /** Connections in all, those being opened, cleaned and closed included. */
  readonly connections: number
  readonly leased: number
  readonly idle: number
  /** Errors of the driver that no acquirer was told of, since the beginning. */
  readonly errors: number
}

/** The pool's connections, each opened for a waiter, leased, cleaned, kept, and closed once. */
export interface Connections<Connection, Target> {
  /** An idle connection for the key, at once. */
  lease(key: string, target: Target): Lease<Connection> | undefined
  /** Gives what there is to those who wait. */
  pump(): void
  /** Ends the connections of the key, or all: the leased ones when released, or after `deadline` milliseconds. */
  retire(key: string | undefined, deadline: number): Promise<void>
  invalidate(connection: Connection, error?: unknown): void
  stats(): ConnectionStats
}

/** @param refusal why the key may have no connections now */
export function createConnections<Connection extends object, Target>(
  settings: LeasePoolSettings<Connection, Target>,
  queue: FairQueue<Waiter<Target, Lease<Connection>>>,
  refusal: (key: string) => TenancyError | undefined,
): Connections<Connection, Target> {
  type Place = Slot<Connection>
  type Waiting = Waiter<Target, Lease<Connection>>
  const { max, maxPerKey, maxUses, now, setTimer } = settings
  const driver = guardDriver(settings)
  const slots = new Set<Place>()
  const counts = new Map<string, number>()
  const idle = createIdleSet<Place>(settings, (slot) => void shut(slot))
  const broken = new WeakSet<Connection>()
  const watchers = new Set<() => void>()
  /** What is being cleaned, and since when. */
  const cleaning = new Map<Place, number>()
  /** A timer will look again. */
  let waiting = false
  let pumping = false
  let again = false

  function pump(): void {
    again = true
    if (pumping) return
    pumping = true
    while (again) {
      again = false
      queue.offer(serve, () => idle.size > 0 || slots.size < max)
    }
    pumping = false
  }

  function lease(key: string, target: Target): Lease<Connection> | undefined {
    const kind = settings.kind?.(target)
    if (kind !== undefined && (counts.get(key) ?? 0) >= maxPerKey) return undefined
    const slot = idle.take(kind ?? key)
    if (slot?.connection === undefined) return undefined
    if (kind !== undefined) rename(slot, key)
    return lend(slot, slot.connection)
  }

  /** Counts the slot for another key. */
  function rename(slot: Place, key: string): void {
    const left = (counts.get(slot.key) ?? 0) - 1
    if (left > 0) counts.set(slot.key, left)
    else counts.delete(slot.key)
    slot.key = key
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }

  function serve(waiter: Waiting, key: string): boolean {
    const { target } = waiter
    const own = lease(key, target)
    if (own !== undefined) return waiter.resolve(own)
    const count = counts.get(key) ?? 0
    if (count >= maxPerKey || soonFree(settings.kind?.(target) ?? key)) return false
    const slot = slots.size < max ? { key, kind: undefined, expires: 0, uses: 0 } : idle.evict()
    if (slot === undefined) return false
    if (slots.has(slot)) slot.from = slot.key
    slots.add(slot)
    slot.key = key
    slot.kind = settings.kind?.(target)
    counts.set(key, count + 1)
    waiter.stopTimer()
    void fill(slot, waiter)
    return true
  }

  /** Whether one that was given back a moment ago is about to be there again. */
  function soonFree(home: string): boolean {
    if (cleaning.size === 0) return false
    const since = [...cleaning].find(([{ kind, key }, at]) => (kind ?? key) === home && now() < at + PATIENCE)
    if (since === undefined) return false
    if (!waiting) {
      waiting = true
      setTimer(() => {
        waiting = false
        pump()
      }, PATIENCE)
    }
    return true
  }

  /** Makes the slot's connection one of the waiter's key: the one it has, or a new one. */
  async function fill(slot: Place, waiter: Waiting): Promise<void> {
    const filling = new AbortController()
    const { signal } = filling
    slot.filling = filling
    signal.addEventListener('abort', () => waiter.reject(signal.reason))
    const stop = setTimer(
      () => filling.abort(new TenancyError('timeout', 'No database connection opened in time')),
      settings.openTimeout,
    )
    if (slot.from !== undefined) await turn(slot, slot.from, waiter.target, signal)
    if (slot.connection === undefined && !waiter.settled) {
      try {
        slot.connection = await driver.open(waiter.target, signal)
        slot.expires = now() + settings.maxLifetime * (1 - settings.random() / 10)
        slot.uses = 0
      } catch (error) {
        if (!waiter.reject(error)) driver.report(error, 'open')
      }
    }
    stop()
    slot.filling = undefined
    const { connection } = slot
    if (connection === undefined) free(slot)
    else if (signal.aborted || !usable(slot)) {
      waiter.reject(new TenancyError('provider_unavailable', 'The database connection failed as it opened'))
      await shut(slot)
    } else if (waiter.settled) park(slot)
    else waiter.resolve(lend(slot, connection))
  }

  /** Turns the slot's connection to the new key, or else closes it; only then the old key is rid of it. */
  async function turn(slot: Place, from: string, target: Target, signal: AbortSignal): Promise<void> {
    const { connection } = slot
    if (connection === undefined) return
    const turned = usable(slot) && (await driver.retarget(connection, target, signal)) && usable(slot)
    if (!turned) {
      await driver.close(connection)
      slot.connection = undefined
    }
    slot.from = undefined
    uncount(from)
  }

  function lend(slot: Place, connection: Connection): Lease<Connection> {
    slot.uses++
    slot.lease = createLease(connection, {
      release() {
        slot.lease = undefined
        takeBack(slot, connection)
      },
      destroy() {
        slot.lease = undefined
        void shut(slot)
      },
    })
    return slot.lease
  }

  function takeBack(slot: Place, connection: Connection): void {
    const clean = usable(slot) && driver.clean(connection)
    if (clean === true) park(slot)
    else if (clean === false) void shut(slot)
    else {
      cleaning.set(slot, now())
      void clean.then((verdict) => {
        cleaning.delete(slot)
        return verdict ? park(slot) : shut(slot)
      })
    }
  }

  /** Whether somebody may still get the connection. */
  function usable({ connection, key, expires, uses }: Place): boolean {
    if (connection === undefined || broken.has(connection) || refusal(key) !== undefined) return false
    return now() < expires && uses < maxUses
  }

  function park(slot: Place): void {
    if (!usable(slot)) return void shut(slot)
    const { kind } = slot
    if (kind !== undefined) rename(slot, kind)
    if (kind === undefined || !handOn(slot, kind)) {
      idle.add(slot.key, slot, Math.min(now() + settings.idleTimeout, slot.expires))
    }
    if (kind !== undefined) notify()
    else pump()
  }

  /** Gives a connection that is anybody's to who is next, unless that is one of another kind: the idle ones take longer. */
  function handOn(slot: Place, kind: string): boolean {
    const { connection } = slot
    let open = connection !== undefined && !pumping
    let given = false
    queue.offer(
      (waiter, key) => {
        open = connection !== undefined && settings.kind?.(waiter.target) === kind
        if (!open || connection === undefined || (counts.get(key) ?? 0) >= maxPerKey) return false
        rename(slot, key)
        open = false
        given = true
        return waiter.resolve(lend(slot, connection))
      },
      () => open,
    )
    return given
  }

  /** Only its owner may: whoever took it out of the idle set, ended its lease, or filled it. */
  async function shut(slot: Place): Promise<void> {
    if (slot.connection !== undefined) await driver.close(slot.connection)
    free(slot)
  }

  function free(slot: Place): void {
    slots.delete(slot)
    uncount(slot.key)
  }

  /** The key is rid of one connection. */
  function uncount(key: string): void {
    const count = (counts.get(key) ?? 0) - 1
    if (count > 0) counts.set(key, count)
    else counts.delete(key)
    notify()
  }

  /** Tells that a key may be rid of its last connection, or that there is room. */
  function notify(): void {
    for (const watcher of [...watchers]) watcher()
    pump()
  }

  return {
    lease,
    pump,
    async retire(key, deadline) {
      const mine = (): Place[] => [...slots].filter((slot) => key === undefined || slot.key === key)
      for (const slot of mine()) {
        slot.filling?.abort(refusal(slot.key))
        if (idle.delete(slot)) void shut(slot)
      }
      if (key === undefined) idle.stop()
      const stop = setTimer(() => {
        for (const slot of mine()) slot.lease?.destroy()
        const late = new TenancyError('provider_unavailable', 'The database connection was not free in time')
        // One that is being turned to another key is this key's until it is.
        for (const slot of slots) if (key !== undefined && slot.from === key) slot.filling?.abort(late)
      }, deadline)
      await new Promise<void>((resolve) => {
        const watcher = (): void => {
          if (key === undefined ? slots.size > 0 : counts.has(key)) return
          watchers.delete(watcher)
          resolve()
        }
        watchers.add(watcher)
        watcher()
      })
      stop()
    },
    invalidate(connection, error) {
      broken.add(connection)
      for (const slot of [...slots]) {
        if (slot.connection !== connection || !idle.delete(slot)) continue
        if (error !== undefined) driver.report(error, 'idle')
        void shut(slot)
      }
    },
    stats() {
      const leased = [...slots].filter((slot) => slot.lease !== undefined).length
      return { connections: slots.size, leased, idle: idle.size, errors: driver.errors }
    },
  }
}

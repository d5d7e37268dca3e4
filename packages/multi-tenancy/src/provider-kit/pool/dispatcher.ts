import type { FairQueue } from './fair-queue.ts'
import type { Lease } from './lease.ts'
import type { LeasePoolSettings } from './options.ts'
import { createSlot, type Slot } from './slot.ts'
import type { FillSlot } from './slot-filler.ts'
import type { SlotLifecycle } from './slot-lifecycle.ts'
import type { SlotRegistry } from './slot-registry.ts'
import type { Waiter } from './waiter.ts'

/** Decides which connection serves which waiter. */
export interface Dispatcher<Connection, Target> {
  /** Leases an idle connection that serves the key, if there is one. */
  leaseIdle(key: string, target: Target): Lease<Connection> | undefined
  /** Serves the waiters in turn while connections, or room for them, last. */
  serveWaiters(): void
  /**
   * Leases a shared connection to the next waiter with its share key, without a detour through the idle set, which
   * takes longer. `false` when the next waiter has another share key.
   */
  handToWaiter(slot: Slot<Connection>, shareKey: string): boolean
}

export interface DispatcherOptions<Connection extends object, Target> {
  readonly settings: Pick<LeasePoolSettings<Connection, Target>, 'max' | 'maxPerKey' | 'shareKey'>
  readonly queue: FairQueue<Waiter<Target, Lease<Connection>>>
  readonly registry: SlotRegistry<Connection>
  readonly lifecycle: SlotLifecycle<Connection>
  readonly fillSlot: FillSlot<Connection, Target>
}

export function createDispatcher<Connection extends object, Target>({
  settings,
  queue,
  registry,
  lifecycle,
  fillSlot,
}: DispatcherOptions<Connection, Target>): Dispatcher<Connection, Target> {
  const { max, maxPerKey } = settings
  const { idle, cleaning } = lifecycle
  let isServing = false
  let isRepeatNeeded = false

  function serveWaiters(): void {
    isRepeatNeeded = true
    if (isServing) return
    isServing = true
    while (isRepeatNeeded) {
      isRepeatNeeded = false
      queue.offer(serve, () => idle.size > 0 || registry.size < max)
    }
    isServing = false
  }

  function leaseIdle(key: string, target: Target): Lease<Connection> | undefined {
    const shareKey = settings.shareKey?.(target)
    if (shareKey !== undefined && registry.count(key) >= maxPerKey) return undefined
    const slot = idle.take(shareKey ?? key)
    if (slot?.connection === undefined) return undefined
    if (shareKey !== undefined) registry.move(slot, key)
    return lifecycle.lend(slot, slot.connection)
  }

  function serve(waiter: Waiter<Target, Lease<Connection>>, key: string): boolean {
    const { target } = waiter
    const lease = leaseIdle(key, target)
    if (lease !== undefined) return waiter.resolve(lease)
    const shareKey = settings.shareKey?.(target)
    if (registry.count(key) >= maxPerKey || cleaning.aboutToBeIdle(shareKey ?? key)) return false
    const evicted = registry.size < max ? undefined : idle.evict()
    if (evicted === undefined && registry.size >= max) return false
    const previousKey = evicted?.key
    const slot = evicted ?? createSlot<Connection>(key)
    registry.assign(slot, key)
    slot.shareKey = shareKey
    waiter.stopTimer()
    void fillSlot(slot, waiter, previousKey)
    return true
  }

  function handToWaiter(slot: Slot<Connection>, shareKey: string): boolean {
    const { connection } = slot
    let canOffer = connection !== undefined && !isServing
    let isLeased = false
    queue.offer(
      (waiter, key) => {
        canOffer = connection !== undefined && settings.shareKey?.(waiter.target) === shareKey
        if (!canOffer || connection === undefined || registry.count(key) >= maxPerKey) return false
        registry.move(slot, key)
        canOffer = false
        isLeased = true
        return waiter.resolve(lifecycle.lend(slot, connection))
      },
      () => canOffer,
    )
    return isLeased
  }

  return { leaseIdle, serveWaiters, handToWaiter }
}

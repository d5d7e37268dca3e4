import { TenancyError } from '../../errors.ts'
import { createDispatcher, type Dispatcher } from './dispatcher.ts'
import type { FairQueue } from './fair-queue.ts'
import { guardDriver } from './guarded-driver.ts'
import type { Lease } from './lease.ts'
import type { LeasePoolSettings } from './options.ts'
import { createSlotFiller } from './slot-filler.ts'
import { createSlotLifecycle, type SlotLifecycle } from './slot-lifecycle.ts'
import { createSlotRegistry } from './slot-registry.ts'
import type { Waiter } from './waiter.ts'

/** The current number of connections in each state. */
export interface ConnectionStats {
  /** Connections in all, those being opened, cleaned and closed included. */
  readonly connections: number
  readonly leased: number
  readonly idle: number
  /** Errors of the driver that no acquirer received, since the pool was created. */
  readonly errors: number
}

/** The pool's connections: each is opened for a waiter, leased, cleaned, kept idle, and closed once. */
export interface Connections<Connection, Target> {
  /** Leases an idle connection that serves the key, if there is one. */
  leaseIdle(key: string, target: Target): Lease<Connection> | undefined
  /** Serves the waiters in turn while connections, or room for them, last. */
  serveWaiters(): void
  /** Ends the connections of the key, or all: the leased ones when released, or after `deadline` milliseconds. */
  retire(key: string | undefined, deadline: number): Promise<void>
  invalidate(connection: Connection, error?: unknown): void
  stats(): ConnectionStats
}

/** @param findRefusal the reason why the key may have no connections now */
export function createConnections<Connection extends object, Target>(
  settings: LeasePoolSettings<Connection, Target>,
  queue: FairQueue<Waiter<Target, Lease<Connection>>>,
  findRefusal: (key: string) => TenancyError | undefined,
): Connections<Connection, Target> {
  const driver = guardDriver(settings)
  const registry = createSlotRegistry<Connection>(() => dispatcher.serveWaiters())
  const lifecycle: SlotLifecycle<Connection> = createSlotLifecycle<Connection>({
    settings,
    driver,
    registry,
    findRefusal,
    serveWaiters: () => dispatcher.serveWaiters(),
    handToWaiter: (slot, shareKey) => dispatcher.handToWaiter(slot, shareKey),
  })
  const fillSlot = createSlotFiller({ settings, driver, registry, lifecycle })
  const dispatcher: Dispatcher<Connection, Target> = createDispatcher({
    settings,
    queue,
    registry,
    lifecycle,
    fillSlot,
  })
  const { idle } = lifecycle

  async function retire(key: string | undefined, deadline: number): Promise<void> {
    const listOwnSlots = () => registry.list().filter((slot) => key === undefined || slot.key === key)
    for (const slot of listOwnSlots()) {
      slot.filling?.controller.abort(findRefusal(slot.key))
      if (idle.delete(slot)) void lifecycle.close(slot)
    }
    if (key === undefined) idle.stop()
    const cancelTimer = settings.setTimer(() => {
      for (const slot of listOwnSlots()) slot.lease?.destroy()
      const late = new TenancyError('provider_unavailable', 'The database connection was not free in time')
      // A connection that changes its target counts for its previous key until the change is complete.
      for (const { filling } of registry.list()) {
        if (key !== undefined && filling?.previousKey === key) filling.controller.abort(late)
      }
    }, deadline)
    await registry.waitUntilEmpty(key)
    cancelTimer()
  }

  return {
    leaseIdle: dispatcher.leaseIdle,
    serveWaiters: dispatcher.serveWaiters,
    retire,
    invalidate: lifecycle.invalidate,
    stats() {
      const leased = registry.list().filter((slot) => slot.lease !== undefined).length
      return { connections: registry.size, leased, idle: idle.size, errors: driver.errors }
    },
  }
}

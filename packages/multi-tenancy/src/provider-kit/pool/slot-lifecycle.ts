import type { TenancyError } from '../../errors.ts'
import { type CleaningSlots, createCleaningSlots } from './cleaning-slots.ts'
import type { GuardedDriver } from './guarded-driver.ts'
import { createIdleSet, type IdleSet } from './idle-set.ts'
import { createLease, type Lease } from './lease.ts'
import type { LeasePoolSettings } from './options.ts'
import type { Slot } from './slot.ts'
import type { SlotRegistry } from './slot-registry.ts'

/** What happens to an open connection: it is leased, cleaned, kept idle, and closed once. */
export interface SlotLifecycle<Connection> {
  readonly idle: IdleSet<Slot<Connection>>
  readonly cleaning: Pick<CleaningSlots<Connection>, 'aboutToBeIdle'>
  /** Leases the slot's connection. When released, the connection is cleaned and becomes idle again. */
  lend(slot: Slot<Connection>, connection: Connection): Lease<Connection>
  /** Hands a clean connection to a waiter, or keeps it for the next caller. Closes a connection that is not usable. */
  makeIdle(slot: Slot<Connection>): void
  /** Whether another caller may get the connection. */
  isUsable(slot: Slot<Connection>): boolean
  /** Only the slot's owner may call this: the code that took it out of the idle set, ended its lease, or filled it. */
  close(slot: Slot<Connection>): Promise<void>
  /** Marks a connection as broken: it is closed now if it is idle, or when it comes back. */
  invalidate(connection: Connection, error?: unknown): void
}

export interface SlotLifecycleOptions<Connection extends object> {
  readonly settings: Pick<
    LeasePoolSettings<Connection, unknown>,
    'now' | 'setTimer' | 'maxUses' | 'idleTimeout'
  >
  readonly driver: Pick<GuardedDriver<Connection, unknown>, 'clean' | 'close' | 'report'>
  readonly registry: SlotRegistry<Connection>
  /** The reason why the key may have no connections now. */
  readonly findRefusal: (key: string) => TenancyError | undefined
  readonly serveWaiters: () => void
  /** Leases a shared connection to the next waiter; `false` when that waiter needs another one. */
  readonly handToWaiter: (slot: Slot<Connection>, shareKey: string) => boolean
}

export function createSlotLifecycle<Connection extends object>({
  settings,
  driver,
  registry,
  findRefusal,
  serveWaiters,
  handToWaiter,
}: SlotLifecycleOptions<Connection>): SlotLifecycle<Connection> {
  type OwnSlot = Slot<Connection>
  const { now, maxUses, idleTimeout } = settings
  const idle = createIdleSet<OwnSlot>(settings, (slot) => void close(slot))
  const cleaning = createCleaningSlots<Connection>(settings, serveWaiters)
  const broken = new WeakSet<Connection>()

  function lend(slot: OwnSlot, connection: Connection): Lease<Connection> {
    slot.uses++
    slot.lease = createLease(connection, {
      release() {
        slot.lease = undefined
        takeBack(slot, connection)
      },
      destroy() {
        slot.lease = undefined
        void close(slot)
      },
    })
    return slot.lease
  }

  function takeBack(slot: OwnSlot, connection: Connection): void {
    const isClean = isUsable(slot) && driver.clean(connection)
    if (isClean === true) makeIdle(slot)
    else if (isClean === false) void close(slot)
    else {
      cleaning.add(slot)
      void isClean.then((result) => {
        cleaning.delete(slot)
        return result ? makeIdle(slot) : close(slot)
      })
    }
  }

  function isUsable({ connection, key, expires, uses }: OwnSlot): boolean {
    if (connection === undefined || broken.has(connection) || findRefusal(key) !== undefined) return false
    return now() < expires && uses < maxUses
  }

  function makeIdle(slot: OwnSlot): void {
    if (!isUsable(slot)) return void close(slot)
    const { shareKey } = slot
    if (shareKey !== undefined) registry.move(slot, shareKey)
    if (shareKey === undefined || !handToWaiter(slot, shareKey)) {
      idle.add(slot.key, slot, Math.min(now() + idleTimeout, slot.expires))
    }
    // A shared connection that became idle no longer counts for the key that used it.
    if (shareKey !== undefined) registry.notify()
    else serveWaiters()
  }

  async function close(slot: OwnSlot): Promise<void> {
    if (slot.connection !== undefined) await driver.close(slot.connection)
    registry.delete(slot)
  }

  function invalidate(connection: Connection, error?: unknown): void {
    broken.add(connection)
    for (const slot of registry.list()) {
      if (slot.connection !== connection || !idle.delete(slot)) continue
      if (error !== undefined) driver.report(error, 'idle')
      void close(slot)
    }
  }

  return { idle, cleaning, lend, makeIdle, isUsable, close, invalidate }
}

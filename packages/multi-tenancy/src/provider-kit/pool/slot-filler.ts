import { TenancyError } from '../../errors.ts'
import type { GuardedDriver } from './guarded-driver.ts'
import type { Lease } from './lease.ts'
import type { LeasePoolSettings } from './options.ts'
import type { Filling, Slot } from './slot.ts'
import type { SlotLifecycle } from './slot-lifecycle.ts'
import type { SlotRegistry } from './slot-registry.ts'
import type { Waiter } from './waiter.ts'

export interface SlotFillerOptions<Connection extends object, Target> {
  readonly settings: Pick<
    LeasePoolSettings<Connection, Target>,
    'now' | 'random' | 'setTimer' | 'openTimeout' | 'maxLifetime'
  >
  readonly driver: GuardedDriver<Connection, Target>
  readonly registry: SlotRegistry<Connection>
  readonly lifecycle: SlotLifecycle<Connection>
}

/** Gives a slot a connection to the waiter's target, and leases that connection to the waiter. */
export type FillSlot<Connection, Target> = (
  slot: Slot<Connection>,
  waiter: Waiter<Target, Lease<Connection>>,
  previousKey: string | undefined,
) => Promise<void>

export function createSlotFiller<Connection extends object, Target>({
  settings,
  driver,
  registry,
  lifecycle,
}: SlotFillerOptions<Connection, Target>): FillSlot<Connection, Target> {
  const { now, random, setTimer, openTimeout, maxLifetime } = settings
  type OwnWaiter = Waiter<Target, Lease<Connection>>

  async function fill(
    slot: Slot<Connection>,
    waiter: OwnWaiter,
    previousKey: string | undefined,
  ): Promise<void> {
    const controller = new AbortController()
    const { signal } = controller
    const filling: Filling = { controller, previousKey }
    slot.filling = filling
    signal.addEventListener('abort', () => waiter.reject(signal.reason))
    const cancelTimer = setTimer(
      () => controller.abort(new TenancyError('timeout', 'No database connection opened in time')),
      openTimeout,
    )
    if (previousKey !== undefined) {
      await retarget(slot, waiter.target, signal)
      filling.previousKey = undefined
      registry.release(previousKey)
    }
    if (slot.connection === undefined && !waiter.settled) await open(slot, waiter, signal)
    cancelTimer()
    slot.filling = undefined
    await handOver(slot, waiter, signal)
  }

  /** Changes the target of the slot's connection. Closes the connection if that fails. */
  async function retarget(slot: Slot<Connection>, target: Target, signal: AbortSignal): Promise<void> {
    const { connection } = slot
    if (connection === undefined) return
    const isRetargeted =
      lifecycle.isUsable(slot) &&
      (await driver.retarget(connection, target, signal)) &&
      lifecycle.isUsable(slot)
    if (isRetargeted) return
    await driver.close(connection)
    slot.connection = undefined
  }

  async function open(slot: Slot<Connection>, waiter: OwnWaiter, signal: AbortSignal): Promise<void> {
    try {
      slot.connection = await driver.open(waiter.target, signal)
      // Connections that opened together should not expire together.
      slot.expires = now() + maxLifetime * (1 - random() / 10)
      slot.uses = 0
    } catch (error) {
      if (!waiter.reject(error)) driver.report(error, 'open')
    }
  }

  async function handOver(slot: Slot<Connection>, waiter: OwnWaiter, signal: AbortSignal): Promise<void> {
    const { connection } = slot
    if (connection === undefined) registry.delete(slot)
    else if (signal.aborted || !lifecycle.isUsable(slot)) {
      waiter.reject(new TenancyError('provider_unavailable', 'The database connection failed as it opened'))
      await lifecycle.close(slot)
    } else if (waiter.settled) lifecycle.makeIdle(slot)
    else waiter.resolve(lifecycle.lend(slot, connection))
  }

  return fill
}

import type { LeasePoolSettings } from './options.ts'
import type { Slot } from './slot.ts'

/** Milliseconds that the pool waits for a connection that is being cleaned: opening another mostly takes longer. */
const CLEANING_WAIT = 20

/** The slots whose connection the driver is cleaning. */
export interface CleaningSlots<Connection> {
  add(slot: Slot<Connection>): void
  delete(slot: Slot<Connection>): void
  /**
   * Whether a connection with this idle key (its share key, or else its key) was released a moment ago and is likely
   * to be idle soon. If so, `onWaitEnd` runs when that moment is over.
   */
  aboutToBeIdle(idleKey: string): boolean
}

/** @param onWaitEnd called when a waiter should no longer wait for a connection that is being cleaned */
export function createCleaningSlots<Connection>(
  { now, setTimer }: Pick<LeasePoolSettings<object, unknown>, 'now' | 'setTimer'>,
  onWaitEnd: () => void,
): CleaningSlots<Connection> {
  /** The clock's milliseconds at which the cleaning of each slot began. */
  const startTimes = new Map<Slot<Connection>, number>()
  let hasTimer = false

  function startTimer(): void {
    if (hasTimer) return
    hasTimer = true
    setTimer(() => {
      hasTimer = false
      onWaitEnd()
    }, CLEANING_WAIT)
  }

  return {
    add(slot) {
      startTimes.set(slot, now())
    },
    delete(slot) {
      startTimes.delete(slot)
    },
    aboutToBeIdle(idleKey) {
      if (startTimes.size === 0) return false
      const isSoon = [...startTimes].some(
        ([{ shareKey, key }, start]) => (shareKey ?? key) === idleKey && now() < start + CLEANING_WAIT,
      )
      if (isSoon) startTimer()
      return isSoon
    },
  }
}

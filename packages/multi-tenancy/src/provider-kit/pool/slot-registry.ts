import type { Slot } from './slot.ts'

/** All slots of a pool, and how many connections each key has. */
export interface SlotRegistry<Connection> {
  readonly size: number
  /** A copy, safe to walk while slots come and go. */
  list(): Slot<Connection>[]
  /** Connections that count for the key. */
  count(key: string): number
  /** Adds the slot, unless the registry has it already, and counts it for the key besides the keys it counts for now. */
  assign(slot: Slot<Connection>, key: string): void
  /** Counts the slot for another key instead of its own. Without a notice: see `notify`. */
  move(slot: Slot<Connection>, key: string): void
  /** Removes one connection from the key's count, and notifies. */
  release(key: string): void
  /** Removes the slot, and notifies. */
  delete(slot: Slot<Connection>): void
  /** Reports that a key may have lost its last connection, or that the pool has room. */
  notify(): void
  /** Resolves when the key has no connection left; without a key, when no slot is left. */
  waitUntilEmpty(key: string | undefined): Promise<void>
}

/** @param onRoom called when a waiter may find room */
export function createSlotRegistry<Connection>(onRoom: () => void): SlotRegistry<Connection> {
  const slots = new Set<Slot<Connection>>()
  const counts = new Map<string, number>()
  const watchers = new Set<() => void>()

  function decrement(key: string): void {
    const count = (counts.get(key) ?? 0) - 1
    if (count > 0) counts.set(key, count)
    else counts.delete(key)
  }

  function count(key: string): number {
    return counts.get(key) ?? 0
  }

  function notify(): void {
    for (const watcher of [...watchers]) watcher()
    onRoom()
  }

  function release(key: string): void {
    decrement(key)
    notify()
  }

  return {
    get size() {
      return slots.size
    },
    list: () => [...slots],
    count,
    assign(slot, key) {
      slots.add(slot)
      slot.key = key
      counts.set(key, count(key) + 1)
    },
    move(slot, key) {
      decrement(slot.key)
      slot.key = key
      counts.set(key, count(key) + 1)
    },
    release,
    delete(slot) {
      slots.delete(slot)
      release(slot.key)
    },
    notify,
    waitUntilEmpty(key) {
      return new Promise<void>((resolve) => {
        const watcher = (): void => {
          if (key === undefined ? slots.size > 0 : counts.has(key)) return
          watchers.delete(watcher)
          resolve()
        }
        watchers.add(watcher)
        watcher()
      })
    },
  }
}

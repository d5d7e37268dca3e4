/** A queue that is first come, first served within a key and serves keys in turn: a long line delays no other key. */
export interface FairQueue<Item> {
  add(key: string, item: Item): void
  delete(key: string, item: Item): void
  has(key: string, item: Item): boolean
  /** The number of items that wait for the key; without a key, for all keys. */
  size(key?: string): number
  /**
   * Milliseconds until the items that wait for the key now will have been taken, at the pace of its line so far. While
   * no item was taken, each counts as long as the line has existed.
   */
  expectedWait(key: string): number
  /** Removes and returns all items of the key's line; without a key, of all lines. */
  clear(key?: string): Item[]
  /**
   * Offers `take` the first item of each line in turn while `more` returns true. An item that was taken leaves, and its
   * key goes behind all others; a key whose first item was not taken keeps its place.
   */
  offer(take: (item: Item, key: string) => boolean, more: () => boolean): void
}

/** The items of one key, and how fast they are taken. */
interface Line<Item> {
  readonly items: Set<Item>
  /** The clock's milliseconds when the line last became other than empty. */
  readonly since: number
  /** Items taken since then. */
  taken: number
}

/** An empty queue. */
export function createFairQueue<Item>(now: () => number): FairQueue<Item> {
  // The order of the keys is the order of their turns.
  const lines = new Map<string, Line<Item>>()
  return {
    add(key, item) {
      const line = lines.get(key)
      if (line === undefined) lines.set(key, { items: new Set([item]), since: now(), taken: 0 })
      else line.items.add(item)
    },
    delete(key, item) {
      const line = lines.get(key)
      if (line?.items.delete(item) && line.items.size === 0) lines.delete(key)
    },
    has: (key, item) => lines.get(key)?.items.has(item) ?? false,
    size(key) {
      if (key !== undefined) return lines.get(key)?.items.size ?? 0
      let size = 0
      for (const line of lines.values()) size += line.items.size
      return size
    },
    expectedWait(key) {
      const line = lines.get(key)
      if (line === undefined) return 0
      return (line.items.size * (now() - line.since)) / Math.max(1, line.taken)
    },
    clear(key) {
      const removed: Item[] = []
      for (const [name, line] of lines) {
        if (key === undefined || key === name) {
          removed.push(...line.items)
          lines.delete(name)
        }
      }
      return removed
    },
    offer(take, more) {
      // A line put back during the loop is visited again, after all the others.
      for (const [key, line] of lines) {
        if (!more()) return
        const [first] = line.items
        if (first === undefined || !take(first, key)) continue
        line.taken++
        line.items.delete(first)
        if (lines.get(key) !== line) continue
        lines.delete(key)
        if (line.items.size > 0) lines.set(key, line)
      }
    },
  }
}

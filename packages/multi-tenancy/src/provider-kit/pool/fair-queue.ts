/** Who waits: first come, first served within a key, and keys in turns, so that a long line delays no other key. */
export interface FairQueue<Item> {
  add(key: string, item: Item): void
  delete(key: string, item: Item): void
  has(key: string, item: Item): boolean
  /** How many wait for the key; for all keys without one. */
  size(key?: string): number
  /**
   * Milliseconds until those who wait for the key now will have been taken, at the pace of its line so far. While none
   * of them was taken, each counts as long as the line has stood.
   */
  expectedWait(key: string): number
  /** Takes everybody out of the key's line; out of all lines without one. */
  clear(key?: string): Item[]
  /**
   * Offers `take` the first of each line in turns while there is `more` to give. Who is taken leaves, and the
   * key goes behind all others; a key whose first was not taken keeps its place.
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
      const gone: Item[] = []
      for (const [name, line] of lines) {
        if (key === undefined || key === name) {
          gone.push(...line.items)
          lines.delete(name)
        }
      }
      return gone
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

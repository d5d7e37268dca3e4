/** Who waits: first come, first served within a key, and keys in turns, so that a long line delays no other key. */
export interface FairQueue<Item> {
  add(key: string, item: Item): void
  delete(key: string, item: Item): void
  has(key: string, item: Item): boolean
  /** How many wait for the key; for all keys without one. */
  size(key?: string): number
  /** Takes everybody out of the key's line; out of all lines without one. */
  clear(key?: string): Item[]
  /**
   * Offers `take` the first of each line in turns while there is `more` to give. Who is taken leaves, and the
   * key goes behind all others; a key whose first was not taken keeps its place.
   */
  offer(take: (item: Item, key: string) => boolean, more: () => boolean): void
}

/** An empty queue. */
export function createFairQueue<Item>(): FairQueue<Item> {
  // The order of the keys is the order of their turns.
  const lines = new Map<string, Set<Item>>()
  return {
    add(key, item) {
      const line = lines.get(key)
      if (line === undefined) lines.set(key, new Set([item]))
      else line.add(item)
    },
    delete(key, item) {
      const line = lines.get(key)
      if (line?.delete(item) && line.size === 0) lines.delete(key)
    },
    has: (key, item) => lines.get(key)?.has(item) ?? false,
    size(key) {
      if (key !== undefined) return lines.get(key)?.size ?? 0
      let size = 0
      for (const line of lines.values()) size += line.size
      return size
    },
    clear(key) {
      const gone: Item[] = []
      for (const [name, line] of lines) {
        if (key === undefined || key === name) {
          gone.push(...line)
          lines.delete(name)
        }
      }
      return gone
    },
    offer(take, more) {
      // A line put back during the loop is visited again, after all the others.
      for (const [key, line] of lines) {
        if (!more()) return
        const [first] = line
        if (first === undefined || !take(first, key)) continue
        line.delete(first)
        if (lines.get(key) !== line) continue
        lines.delete(key)
        if (line.size > 0) lines.set(key, line)
      }
    },
  }
}

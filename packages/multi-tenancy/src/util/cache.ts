/** A map with a bound and an age. */
export interface Cache<Value> {
  get(key: string): Value | undefined
  set(key: string, value: Value): void
  delete(key: string): void
  clear(): void
}

/**
 * Evicts by second chance: the oldest entry goes, unless it was read since it was last considered. It evicts much like
 * least recently used, but a hit, which happens with every request, moves nothing.
 *
 * @param ttl milliseconds an entry is good for, from when it was set
 */
export function createCache<Value>(max: number, ttl: number, now: () => number): Cache<Value> {
  type Entry = { value: Value; expires: number; read: boolean }
  const entries = new Map<string, Entry>()

  /** Ends: each round either drops an entry or spends a chance. */
  function makeRoom(): void {
    for (const [key, entry] of entries) {
      if (entries.size < max) return
      entries.delete(key)
      if (!entry.read || entry.expires <= now()) continue
      entry.read = false
      entries.set(key, entry)
    }
  }

  return {
    get(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      if (entry.expires <= now()) {
        entries.delete(key)
        return undefined
      }
      entry.read = true
      return entry.value
    },
    set(key, value) {
      if (max <= 0) return
      entries.delete(key)
      makeRoom()
      entries.set(key, { value, expires: now() + ttl, read: false })
    },
    delete(key) {
      entries.delete(key)
    },
    clear() {
      entries.clear()
    },
  }
}

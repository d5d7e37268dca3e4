/** A map with a bound and an age: the least recently used entry goes first. */
export interface Cache<Value> {
  get(key: string): Value | undefined
  set(key: string, value: Value): void
  delete(key: string): void
  clear(): void
  readonly size: number
}

/** @param ttl milliseconds an entry is good for, from when it was set */
export function createCache<Value>(max: number, ttl: number, now: () => number): Cache<Value> {
  const entries = new Map<string, { value: Value; expires: number }>()
  return {
    get(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      if (entry.expires <= now()) return undefined
      entries.set(key, entry)
      return entry.value
    },
    set(key, value) {
      if (max <= 0) return
      entries.delete(key)
      if (entries.size >= max) for (const oldest of entries.keys()) if (entries.delete(oldest)) break
      entries.set(key, { value, expires: now() + ttl })
    },
    delete(key) {
      entries.delete(key)
    },
    clear() {
      entries.clear()
    },
    get size() {
      return entries.size
    },
  }
}

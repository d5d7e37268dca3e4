/** Connections that no caller uses, each until it expires. */
export interface IdleSet<Item> {
  readonly size: number
  /** @param until the clock's milliseconds at which it expires */
  add(key: string, item: Item, until: number): void
  /** The key's most recently used, so that the others may expire. */
  take(key: string): Item | undefined
  /** The least recently used of all. */
  evict(): Item | undefined
  /** Removes the item; false when it is not idle. */
  delete(item: Item): boolean
  /** Cancels the timer: some runtimes have no background timers, and it would keep the process alive. */
  stop(): void
}

/** An empty set. Every item leaves it once: taken, evicted, deleted or handed to `onExpired`. */
export function createIdleSet<Item>(
  {
    now,
    setTimer,
  }: {
    now(): number
    setTimer(callback: () => void, ms: number, options: { background: boolean }): () => void
  },
  onExpired: (item: Item) => void,
): IdleSet<Item> {
  // Both in the order of use, the last used last.
  const items = new Map<Item, { key: string; until: number }>()
  const byKey = new Map<string, Item[]>()
  let wakeAt = Infinity
  let cancel: (() => void) | undefined

  function remove(item: Item): boolean {
    const entry = items.get(item)
    if (entry === undefined) return false
    items.delete(item)
    const siblings = byKey.get(entry.key) ?? []
    siblings.splice(siblings.indexOf(item), 1)
    if (siblings.length === 0) byKey.delete(entry.key)
    return true
  }

  /** One timer serves all items: it fires when the first of them expires. */
  function wake(at: number): void {
    if (at >= wakeAt) return
    cancel?.()
    wakeAt = at
    cancel = setTimer(expire, at - now(), { background: true })
  }

  function expire(): void {
    wakeAt = Infinity
    let next = Infinity
    for (const [item, { until }] of [...items]) {
      if (until > now()) next = Math.min(next, until)
      else if (remove(item)) onExpired(item)
    }
    wake(next)
  }

  return {
    get size() {
      return items.size
    },
    add(key, item, until) {
      items.set(item, { key, until })
      const siblings = byKey.get(key)
      if (siblings === undefined) byKey.set(key, [item])
      else siblings.push(item)
      wake(until)
    },
    take(key) {
      // A blocked event loop runs its timers late.
      for (;;) {
        const item = byKey.get(key)?.at(-1)
        if (item === undefined) return undefined
        const expired = (items.get(item)?.until ?? 0) <= now()
        remove(item)
        if (!expired) return item
        onExpired(item)
      }
    },
    evict() {
      const [oldest] = items.keys()
      if (oldest !== undefined) remove(oldest)
      return oldest
    },
    delete: remove,
    stop: () => cancel?.(),
  }
}

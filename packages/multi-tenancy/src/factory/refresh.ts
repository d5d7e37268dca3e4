import type { TenantId } from '../tenant-id.ts'
import type { TenantRecord } from '../types/record.ts'

/** Reads tenants' states anew, behind everybody's back. */
export interface Refresher {
  refresh(id: TenantId): void
  /** What is read of it now is out of date already. */
  forget(id: TenantId): void
}

export interface RefresherOptions {
  read(ids: readonly TenantId[]): Promise<ReadonlyMap<TenantId, TenantRecord>>
  now(): number
  /** Told what was found; `undefined`: there is no such tenant. */
  keep(id: TenantId, record: TenantRecord | undefined, readAt: number): void
  /** Called with the first failure after a success: while the catalog is away, each request would add one. */
  onFailure(cause: unknown): void
}

/** Ids of one query: what D1 binds at most. */
const BATCH = 100

/**
 * One query at a time, for all who came to ask during the one before: however many tenants are busy, the catalog is
 * asked no faster than it answers.
 */
export function createRefresher({ read, now, keep, onFailure }: RefresherOptions): Refresher {
  const waiting = new Set<TenantId>()
  let asked = new Set<TenantId>()
  let busy = false
  let failing = false

  function next(): Set<TenantId> {
    const batch = new Set<TenantId>()
    for (const id of waiting) {
      if (batch.size === BATCH) break
      batch.add(id)
      waiting.delete(id)
    }
    return batch
  }

  async function work(): Promise<void> {
    busy = true
    try {
      while (waiting.size > 0) {
        asked = next()
        const readAt = now()
        const found = await read([...asked])
        failing = false
        for (const id of asked) keep(id, found.get(id), readAt)
      }
    } catch (cause) {
      if (!failing) onFailure(cause)
      failing = true
      // What is known stays believed until its age says no; the next request asks again.
      waiting.clear()
    } finally {
      asked = new Set()
      busy = false
    }
  }

  return {
    refresh(id) {
      if (asked.has(id)) return
      waiting.add(id)
      if (!busy) void work()
    },
    forget(id) {
      waiting.delete(id)
      asked.delete(id)
    },
  }
}

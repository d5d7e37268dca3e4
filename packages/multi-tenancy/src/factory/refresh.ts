import type { TenantId } from '../tenant-id.ts'
import type { TenantRecord } from '../types/record.ts'

/** Reads the states of tenants again, in the background. */
export interface Refresher {
  refresh(id: TenantId): void
  /** Drops the result of a read of this tenant that is under way: it is out of date. */
  forget(id: TenantId): void
}

export interface RefresherOptions {
  read(ids: readonly TenantId[]): Promise<ReadonlyMap<TenantId, TenantRecord>>
  now(): number
  /** Receives the record that was read; `undefined`: there is no such tenant. */
  keep(id: TenantId, record: TenantRecord | undefined, readAt: number): void
  /** Called with the first failure after a success: while the catalog is away, each request would add one. */
  onFailure(cause: unknown): void
}

/** Ids of one query: what D1 binds at most. */
const BATCH = 100

/**
 * One query at a time, for all tenants requested during the query before: the catalog receives queries no faster than it
 * answers them.
 */
export function createRefresher({ read, now, keep, onFailure }: RefresherOptions): Refresher {
  const waiting = new Set<TenantId>()
  let requested = new Set<TenantId>()
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
        requested = next()
        const readAt = now()
        const records = await read([...requested])
        failing = false
        for (const id of requested) keep(id, records.get(id), readAt)
      }
    } catch (cause) {
      if (!failing) onFailure(cause)
      failing = true
      // The cached states stay in use until they are too old; the next request reads them again.
      waiting.clear()
    } finally {
      requested = new Set()
      busy = false
    }
  }

  return {
    refresh(id) {
      if (requested.has(id)) return
      waiting.add(id)
      if (!busy) void work()
    },
    forget(id) {
      waiting.delete(id)
      requested.delete(id)
    },
  }
}

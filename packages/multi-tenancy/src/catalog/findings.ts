import type { CatalogContext } from './context.ts'
import { retryTransient } from './retry-write.ts'

/** When each finding of reconcile was first and last seen. */
export interface FindingStore {
  /**
   * Stores the keys of the current findings and removes all others. Resolves with the time at which each was first seen:
   * in an earlier run, or now.
   */
  recordSeen(keys: readonly string[]): Promise<ReadonlyMap<string, number>>
}

export function createFindingStore({ ready, environment }: CatalogContext): FindingStore {
  return {
    async recordSeen(keys) {
      const now = environment.now()
      const db = await ready()
      const retried = <Value>(work: () => Promise<Value>) => retryTransient(environment, work)
      const rows = await retried(() => db.selectFrom('tenantry_findings').selectAll().execute())
      const current = new Set(keys)
      const firstSeen = new Map<string, number>()
      for (const { finding, first_seen } of rows) {
        if (current.has(finding)) firstSeen.set(finding, Number(first_seen))
        else await retried(() => db.deleteFrom('tenantry_findings').where('finding', '=', finding).execute())
      }
      for (const finding of current) {
        if (firstSeen.has(finding)) {
          const seenAgain = db.updateTable('tenantry_findings').set({ last_seen: now })
          await retried(() => seenAgain.where('finding', '=', finding).execute())
          continue
        }
        const row = { finding, first_seen: now, last_seen: now }
        // A concurrent run may have inserted it.
        await db
          .insertInto('tenantry_findings')
          .values(row)
          .execute()
          .catch(() => {})
        firstSeen.set(finding, now)
      }
      return firstSeen
    },
  }
}

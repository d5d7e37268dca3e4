import type { Environment } from '../util/environment.ts'
import { persist, type Ready } from './tenants.ts'

/** When what reconcile finds was first and last seen. */
export interface SightingStore {
  /**
   * Notes what was found now, forgets what no longer is, and resolves with when each was first seen: in an
   * earlier run, or now.
   */
  note(findings: readonly string[]): Promise<ReadonlyMap<string, number>>
}

export function createSightingStore(ready: Ready, environment: Environment): SightingStore {
  return {
    async note(findings) {
      const now = environment.now()
      const db = await ready()
      const rows = await persist(environment, () => db.selectFrom('tenantry_sightings').selectAll().execute())
      const current = new Set(findings)
      const seen = new Map<string, number>()
      for (const { finding, first_seen } of rows) {
        if (current.has(finding)) {
          seen.set(finding, Number(first_seen))
          await persist(environment, () =>
            db
              .updateTable('tenantry_sightings')
              .set({ last_seen: now })
              .where('finding', '=', finding)
              .execute(),
          )
        } else {
          await persist(environment, () =>
            db.deleteFrom('tenantry_sightings').where('finding', '=', finding).execute(),
          )
        }
      }
      for (const finding of current) {
        if (seen.has(finding)) continue
        const row = { finding, first_seen: now, last_seen: now }
        // Another run may have noted it at once.
        await db
          .insertInto('tenantry_sightings')
          .values(row)
          .execute()
          .catch(() => {})
        seen.set(finding, now)
      }
      return seen
    },
  }
}

import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { DATA_WORKER } from '../src/access/data-worker.ts'
import type { D1Database } from '../src/index.ts'

/** A tenant's Worker as it is uploaded, in workerd, and the database it holds. */
export interface RunningDataWorker {
  /** The same database through a binding of its own. */
  readonly binding: D1Database
  fetch(input: string, init?: RequestInit): Promise<Response>
  stop(): Promise<void>
}

export async function startDataWorker(uuid: string, key: string): Promise<RunningDataWorker> {
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: DATA_WORKER,
      compatibilityDate: '2026-04-01',
      d1Databases: { DB: uuid },
      bindings: { DATABASE_ID: uuid, KEY: key },
    }),
  )
  return {
    binding: (await miniflare.getD1Database('DB')) as unknown as D1Database,
    fetch: async (input, init) =>
      (await miniflare.dispatchFetch(input, init as never)) as unknown as Response,
    stop: () => miniflare.dispose(),
  }
}

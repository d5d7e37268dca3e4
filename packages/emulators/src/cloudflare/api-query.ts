import type { Reply } from '../http.ts'
import { sqlError, success } from './envelope.ts'
import type { ApiOptions, Route } from './route.ts'
import { databaseOf } from './route.ts'
import { readStatements } from './statements.ts'
import type { Transfers } from './transfers.ts'
import type { WireMeta, WireResult } from './worker/wire.ts'

/** The routes that run SQL: `query` answers objects, `raw` columns and rows. */
export function queryRoutes(
  { records, storage }: ApiOptions,
  transfers: Transfers,
): Readonly<Record<'databases.query' | 'databases.raw', Route>> {
  const route = (present: (result: WireResult) => unknown): Route => {
    return async (call, input): Promise<Reply> => {
      const { uuid, region } = databaseOf(records, call)
      transfers.checkIdle(uuid)
      const run = await storage.run(uuid, readStatements(input))
      if (!run.ok) throw sqlError(run.error)
      return success(
        run.results.map((result) => ({
          results: present(result),
          success: true,
          meta: presentMeta(result.meta, region),
        })),
      )
    }
  }
  return {
    'databases.query': route(({ columns, rows }) =>
      rows.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index]]))),
    ),
    'databases.raw': route(({ columns, rows }) => ({ columns, rows })),
  }
}

const colo: Readonly<Record<string, string>> = {
  ...{ wnam: 'SJC', enam: 'IAD', weur: 'LHR', eeur: 'WAW', apac: 'SIN', oc: 'SYD' },
}

/** What a statement did, as the API shows it. */
export function presentMeta(meta: WireMeta, region: string): Record<string, unknown> {
  return {
    ...{
      served_by: 'tenantry-emulator',
      served_by_region: region.toUpperCase(),
      served_by_colo: colo[region],
    },
    ...{ served_by_primary: true, timings: { sql_duration_ms: meta.duration }, ...meta, total_attempts: 1 },
  }
}

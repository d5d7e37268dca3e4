import type { Reply } from '../http.ts'
import { sqlError, success } from './envelope.ts'
import { presentMeta } from './present.ts'
import type { ApiOptions, Route } from './route.ts'
import { findDatabase } from './route.ts'
import { readStatements } from './statements.ts'
import type { Transfers } from './transfers.ts'
import type { WireResult } from './worker/wire.ts'

/** The routes that run SQL: `query` answers objects, `raw` columns and rows. */
export function queryRoutes(
  { records, storage }: ApiOptions,
  transfers: Transfers,
): Readonly<Record<'databases.query' | 'databases.raw', Route>> {
  const route = (present: (result: WireResult) => unknown): Route => {
    return async (call, input): Promise<Reply> => {
      const { uuid, region } = findDatabase(records, call)
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

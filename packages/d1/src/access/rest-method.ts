import { HttpError } from '@tenantry/multi-tenancy/provider'
import type { D1Result } from '../client/d1-database.ts'
import { createRemoteDatabase, type Transport } from '../client/remote-database.ts'
import { toRestStatements } from '../client/rest-sql.ts'
import type { RawRows, RestApi } from '../control-plane/rest-api.ts'
import { createD1Error } from '../errors.ts'
import type { DatabaseRef } from '../types.ts'
import type { AccessMethod } from './access-method.ts'

/** Opens a transport to a database over Cloudflare's API. */
export type OpenTransport = (database: DatabaseRef) => Transport

export function createRestMethod(openTransport: OpenTransport): AccessMethod {
  return {
    kind: 'rest',
    open: async (database) => createRemoteDatabase(openTransport(database)),
  }
}

/** @param requestTimeout milliseconds */
export function createRestTransport(
  api: Pick<RestApi, 'query' | 'raw'>,
  requestTimeout: number,
): OpenTransport {
  return ({ uuid }) => ({
    hasSessions: false,
    async all(statements) {
      const groups = statements.map(toRestStatements)
      const results = await send((signal) => api.query(uuid, groups.flat(), signal))
      return groups.map((group) => mergeResults(results.splice(0, group.length)))
    },
    async raw(statement) {
      const results = await send((signal) => api.raw(uuid, toRestStatements(statement), signal))
      return results.at(-1) as RawRows
    },
  })

  async function send<Result>(request: (signal: AbortSignal) => Promise<Result[]>): Promise<Result[]> {
    try {
      return await request(AbortSignal.timeout(requestTimeout))
    } catch (error) {
      throw toStatementError(error)
    }
  }
}

/** A binding returns the rows of the last of several statements, and counts the changes of all. */
function mergeResults(results: readonly D1Result[]): D1Result {
  const last = results.at(-1) as D1Result
  if (results.length === 1) return last
  const metas = results.map(({ meta }) => meta)
  return {
    ...last,
    meta: {
      ...last.meta,
      changes: metas.reduce((sum, { changes }) => sum + changes, 0),
      duration: metas.reduce((sum, { duration }) => sum + duration, 0),
      changed_db: metas.some(({ changed_db }) => changed_db),
    },
  }
}

/** Code 7500 with status 400 is SQLite's error for a statement; with status 500 it is an outage. */
function toStatementError(error: unknown): unknown {
  const isStatementError = error instanceof HttpError && error.status === 400 && error.codes.includes(7500)
  return isStatementError ? createD1Error(error.detail) : error
}

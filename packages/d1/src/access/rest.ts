import { createRemoteDatabase, type Transport } from '../client/remote-database.ts'
import { forRest } from '../client/rest-sql.ts'
import { type BoundStatement, toRestParams } from '../client/values.ts'
import type { D1Api, KnownD1 } from '../control-plane/rest-api.ts'
import { ApiError } from '../control-plane/strict-fetch.ts'
import { d1Error } from '../errors.ts'
import type { Rung } from '../types.ts'

/** Cloudflare's API. @param rest the transport of a database */
export function createRestRung(rest: (database: KnownD1) => Transport): Rung {
  return {
    kind: 'rest',
    open: async (database) => createRemoteDatabase(rest(database)),
  }
}

/** @param requestTimeout milliseconds */
export function createRestTransport(
  api: Pick<D1Api, 'query' | 'raw'>,
  requestTimeout: number,
): (database: KnownD1) => Transport {
  const limit = (): AbortSignal => AbortSignal.timeout(requestTimeout)
  return ({ uuid }) => ({
    sessions: false,
    all: (statements) => api.query(uuid, statements.map(toWire), limit()).catch(asStatementError),
    raw: (statement) => api.raw(uuid, toWire(statement), limit()).catch(asStatementError),
  })
}

function toWire(statement: BoundStatement): BoundStatement {
  const { sql, params } = toRestParams(statement)
  return { sql: forRest(sql), params }
}

/** 7500 with 400 is what SQLite said of the statement; with 500 it is an outage. */
function asStatementError(error: unknown): never {
  if (error instanceof ApiError && error.status === 400 && error.codes.includes(7500))
    throw d1Error(error.said)
  throw error
}

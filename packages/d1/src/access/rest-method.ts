import { HttpError } from '@tenantry/multi-tenancy/provider'
import { createRemoteDatabase, type Transport } from '../client/remote-database.ts'
import { toRestSql } from '../client/rest-sql.ts'
import { type BoundStatement, toRestParams } from '../client/values.ts'
import type { RestApi } from '../control-plane/rest-api.ts'
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
  const createSignal = (): AbortSignal => AbortSignal.timeout(requestTimeout)
  return ({ uuid }) => ({
    hasSessions: false,
    all: (statements) =>
      api.query(uuid, statements.map(encodeStatement), createSignal()).catch(throwStatementError),
    raw: (statement) => api.raw(uuid, encodeStatement(statement), createSignal()).catch(throwStatementError),
  })
}

function encodeStatement(statement: BoundStatement): BoundStatement {
  const { sql, params } = toRestParams(statement)
  return { sql: toRestSql(sql), params }
}

/** Code 7500 with status 400 is SQLite's error for the statement; with status 500 it is an outage. */
function throwStatementError(error: unknown): never {
  if (error instanceof HttpError && error.status === 400 && error.codes.includes(7500)) {
    throw createD1Error(error.detail)
  }
  throw error
}

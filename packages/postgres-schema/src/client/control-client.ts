import { TenancyError } from '@tenantry/multi-tenancy/provider'
import type { Connection } from '../connections/connection.ts'

/** Asks the server to cancel what the process runs, or to end the process. */
export type CancelRequest = (action: 'cancel' | 'terminate', processID: number) => Promise<boolean>

/** The members that a library needs of a client that it creates to cancel another client's query. */
interface ControlClient {
  connect(): Promise<void>
  query(text: string): Promise<{ rows: Record<string, boolean>[] }>
  end(): Promise<void>
}

const CALL = /^\s*select\s+pg_(cancel|terminate)_backend\s*\(\s*(\d+)\s*\)\s*;?\s*$/i

/**
 * The class that Kysely takes from `pool.Client` to cancel a query. It reaches the server processes of this tenant's
 * current leases only, and runs nothing else: `new` takes no configuration.
 *
 * A statement is sent in one write with the BEGIN and the scope before it. If a cancel request ended that BEGIN, the
 * statement would run outside a transaction, as the login. So a request is sent only after the server has answered
 * BEGIN and the scope, and a lease that was cancelled sends no further statement together with its scope.
 *
 * An administrator's own `pg_cancel_backend` or a `statement_timeout` can still end BEGIN in that microsecond. The
 * statement then reads nothing of another tenant by an unqualified name: with `set_role` the login inherits no rights
 * in a tenant's schema, with `role` it is the tenant's own, and with `search_path` the session's search path names no
 * tenant's schema. Under `search_path` a qualified name reaches another schema with or without the scope.
 *
 * @param connections the connections of current leases, by the server process
 */
export function createControlClient(
  connections: ReadonlyMap<number, Connection>,
  cancel: CancelRequest,
): new () => ControlClient {
  return class implements ControlClient {
    async connect(): Promise<void> {}

    async query(text: string): Promise<{ rows: Record<string, boolean>[] }> {
      const [, action, digits] = CALL.exec(text) ?? []
      const processID = Number(digits)
      if (action === undefined) {
        throw new TenancyError('not_supported', 'This client only cancels queries: pg_cancel_backend(pid)')
      }
      const connection = connections.get(processID)
      if (connection === undefined) {
        throw new TenancyError(
          'not_supported',
          'The query was not cancelled: no connection of this tenant runs it',
        )
      }
      // A request may arrive late, so the connection is closed when the lease ends.
      connection.cancelRequested = true
      await connection.scopeAnswer
      // The lease may have ended meanwhile, and its process with it.
      const leased = connections.get(processID) === connection
      const done = leased && (await cancel(action.toLowerCase() as 'cancel' | 'terminate', processID))
      return { rows: [{ [`pg_${action}_backend`]: done }] }
    }

    async end(): Promise<void> {}
  }
}

import { TenancyError } from '@tenantry/multi-tenancy/provider'

/** Asks the server to cancel what the process runs, or to end the process. */
export type CancelRequest = (action: 'cancel' | 'terminate', processID: number) => Promise<boolean>

/** What a library needs of a client that it makes to cancel another one's query. */
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
 * @param cancelled the server processes of current leases, and whether they were asked to cancel
 */
export function createControlClient(
  cancelled: Map<number, boolean>,
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
      if (!cancelled.has(processID)) {
        throw new TenancyError(
          'not_supported',
          'The query was not cancelled: no connection of this tenant runs it',
        )
      }
      // A request may arrive late, so the connection serves nobody else.
      cancelled.set(processID, true)
      const done = await cancel(action.toLowerCase() as 'cancel' | 'terminate', processID)
      return { rows: [{ [`pg_${action}_backend`]: done }] }
    }

    async end(): Promise<void> {}
  }
}

import type { Lease } from '@tenantry/multi-tenancy/provider'
import { leavesNoDoubt } from '../errors.ts'
import type { Connection } from './connection.ts'

/** Runs work with a leased connection, and returns the connection to its pool or, after an error that leaves doubt, destroys it. */
export async function runLeased<Value>(
  lease: Lease<Connection>,
  work: (connection: Connection) => Promise<Value>,
): Promise<Value> {
  try {
    const value = await work(lease.connection)
    lease.release()
    return value
  } catch (error) {
    if (leavesNoDoubt(error)) lease.release()
    else lease.destroy()
    throw error
  }
}

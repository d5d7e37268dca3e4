import type { CallOptions, Lease } from '@tenantry/multi-tenancy/provider'
import type { QueryResult } from 'pg'
import { isState, leavesNoDoubt } from '../errors.ts'
import type { Settings } from '../options.ts'
import type { Connection } from './connection.ts'

/** Errors that another administrator causes who works concurrently. A retry succeeds. */
const CONFLICTS = ['XX000', '40001', '40P01', '23505', '55006']

export interface AdminOptions {
  readonly environment: Settings['environment']
  /** Leases a connection of the administrator. `close` is called when its statements have ended. */
  readonly acquire: (
    options: CallOptions,
  ) => Promise<{ readonly lease: Lease<Connection>; readonly close: () => Promise<void> }>
}

/** Runs SQL as the administrator, and retries after a conflict with another administrator. */
export function createAdmin({ environment, acquire }: AdminOptions) {
  async function runOnce(text: string, call: CallOptions): Promise<QueryResult[]> {
    const { signal } = call
    const { lease, close } = await acquire(call)
    const abort = (): void => lease.destroy()
    signal.addEventListener('abort', abort)
    try {
      const results: unknown = await lease.connection.client.query(text)
      lease.release()
      return (Array.isArray(results) ? results : [results]) as QueryResult[]
    } catch (error) {
      if (leavesNoDoubt(error)) lease.release()
      else lease.destroy()
      throw signal.aborted ? signal.reason : error
    } finally {
      signal.removeEventListener('abort', abort)
      await close()
    }
  }

  return async (text: string, call: CallOptions): Promise<QueryResult[]> => {
    for (let tries = 20; ; tries--) {
      try {
        return await runOnce(text, call)
      } catch (error) {
        if (tries === 0 || !isConflict(error)) throw error
        await environment.sleep(5 + Math.random() * 45)
        call.signal.throwIfAborted()
      }
    }
  }
}

function isConflict(error: unknown): boolean {
  if (isState(error, 'XX000')) return /tuple concurrently/.test((error as Error).message)
  return isState(error, ...CONFLICTS)
}

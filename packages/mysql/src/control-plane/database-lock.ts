import { type CallOptions, TenancyError } from '@tenantry/multi-tenancy/provider'
import { deriveLockName } from '../connections/credentials.ts'
import type { Run, Server } from '../connections/server.ts'
import type { Settings } from '../options.ts'
import { asAdmin } from './privileges.ts'

/**
 * Seconds after which the server ends an idle connection that holds a lock. A process that stopped, or whose machine is
 * gone, would otherwise hold it for the server's `wait_timeout`, 8 hours. Shorter than other processes wait by default.
 */
const LOCK_IDLE = 5

/** Runs work on one database as the administrator while no other process creates, closes or deletes it. */
export type WithDatabaseLock = <Result>(
  name: string,
  call: CallOptions,
  work: (run: Run) => Promise<Result>,
) => Promise<Result>

export function createDatabaseLock(
  server: Server,
  { isolation, secret, registry, drainTimeout }: Settings,
): WithDatabaseLock {
  const waitSeconds = Math.ceil(drainTimeout / 1_000)
  return async (name, call, work) => {
    const key = await deriveLockName(isolation === 'user' ? secret : undefined, `${registry}/${name}`)
    return server.administer(call, async (run) => {
      await run(`SET SESSION wait_timeout = ${LOCK_IDLE}`)
      try {
        const lock = run('SELECT GET_LOCK(?, ?) AS answer', [key, waitSeconds])
        const [row] = await asAdmin('GET_LOCK()', server.admin, lock)
        // 0 is a timeout, NULL an error: either way this process does not have the lock.
        if (Number(row?.answer) !== 1) {
          throw new TenancyError(
            'provider_unavailable',
            `Another process has been working on the database ${name} for ${waitSeconds} s (drainTimeout)`,
            { retryAfter: 2 },
          )
        }
        try {
          return await work(run)
        } finally {
          await run('SELECT RELEASE_LOCK(?)', [key]).catch(() => {})
        }
      } finally {
        await run('SET SESSION wait_timeout = DEFAULT').catch(() => {})
      }
    })
  }
}

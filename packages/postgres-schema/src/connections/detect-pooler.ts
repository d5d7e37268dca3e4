import { configError } from '@tenantry/multi-tenancy/provider'
import type { Client } from 'pg'
import { destroy, openClient } from './connection.ts'

/**
 * Finds out whether something hands the server connections of one client to others between transactions, as PgBouncer
 * does in transaction mode: under settings for a session, the scope of one tenant would reach another.
 *
 * @param client connected, outside a transaction
 * @param config connects another like it
 * @throws `config_invalid` if so
 */
export async function refuseSharing(
  client: Client,
  config: Parameters<typeof openClient>[0],
  signal: AbortSignal,
): Promise<void> {
  if (await isShared(client, config, signal)) {
    throw configError(
      'pooler',
      "the server's connections are shared between transactions; set pooler: 'transaction'",
    )
  }
}

async function isShared(
  client: Client,
  config: Parameters<typeof openClient>[0],
  signal: AbortSignal,
): Promise<boolean> {
  const other = await openClient(config, signal)
  const abort = (): void => {
    destroy(other)
    destroy(client)
  }
  signal.addEventListener('abort', abort)
  try {
    // A pooler may choose in turns or take the last one used; five rounds meet either.
    for (let round = 0; round < 5; round++) {
      const first = await readBackendId(client)
      await other.query('BEGIN')
      if ((await readBackendId(other)) === first || (await readBackendId(client)) !== first) return true
      await other.query('ROLLBACK')
    }
    return false
  } finally {
    signal.removeEventListener('abort', abort)
    destroy(other)
  }
}

async function readBackendId(client: Client): Promise<number> {
  const { rows } = await client.query('SELECT pg_catalog.pg_backend_pid() AS pid')
  return Number(rows[0].pid)
}

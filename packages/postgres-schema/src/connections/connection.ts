import { Client, type ClientConfig } from 'pg'
import { LEAVE_SHARED } from './scope.ts'
import { runUnit, type Session } from './unit.ts'

/** One physical connection, in the hands of one user at a time. */
export interface Connection extends Session {
  readonly kind: 'admin' | 'tenant'
}

export type TransactionStatus = 'I' | 'T' | 'E' | null

/**
 * Connects. The returned client has an `error` listener, so that a server that ends the connection ends nothing else.
 *
 * @throws what the driver throws; the signal's reason
 */
export async function openClient(
  config: ClientConfig,
  signal: AbortSignal,
  onError: (client: Client) => void = () => {},
): Promise<Client> {
  const client = new Client(config)
  // The driver ends a client that is still connecting only by its socket.
  const abort = (): void => destroy(client)
  client.on('error', () => onError(client))
  signal.addEventListener('abort', abort)
  try {
    signal.throwIfAborted()
    await client.connect()
    return client
  } catch (error) {
    destroy(client)
    throw signal.aborted ? signal.reason : error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Ends a client at once, whatever it is doing: the server rolls back. */
export function destroy(client: Client): void {
  client.connection.stream.destroy()
}

/** Says goodbye, so that the server has no broken connection in its log; a client that is busy is cut off. */
export async function closeClient(client: Client): Promise<void> {
  if (statusOf(client) !== 'I') return destroy(client)
  await client.end()
}

/** The transaction status as of the last `ReadyForQuery`. */
export function statusOf(client: Client): TransactionStatus {
  return client.getTransactionStatus() as TransactionStatus
}

/** @returns whether the next user may have it */
export async function cleanLate(connection: Connection): Promise<boolean> {
  await connection.client.query('DISCARD ALL')
  connection.dirty = false
  return verdictOf(connection) === 'clean'
}

/** The same behind a pooler, which leaves a session to whose transaction failed until that is undone. */
export async function undoLate(connection: Connection): Promise<boolean> {
  await runUnit(connection, 'ROLLBACK', () => LEAVE_SHARED)
  return statusOf(connection.client) === 'I'
}

/** Whether the connection is as new at once, needs `cleanLate`, or is lost. */
export function verdictOf(connection: Connection): 'clean' | 'dirty' | 'lost' {
  const { client, dirty } = connection
  if (statusOf(client) !== 'I') return 'lost'
  return dirty ? 'dirty' : 'clean'
}

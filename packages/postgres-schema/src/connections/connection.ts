import { Client, type ClientConfig } from 'pg'
import { RESET_SESSION, UNDO_POOLED } from './reset.ts'

/** One physical connection, in the hands of one user at a time. */
export interface Connection {
  readonly kind: 'admin' | 'tenant'
  readonly client: Client
  /** The server's process; `undefined` where a pooler chooses it for each transaction. */
  readonly processID?: number
  /** The session may hold what its last user left. */
  dirty: boolean
  /** Statements whose answers are still to come. */
  pending: number
  /** Resolves when the server has answered the first of the messages that were last sent together: BEGIN and the scope. */
  scopeAnswer?: Promise<void>
  /** A cancel request was sent, or is about to be, and may arrive late. The connection is closed after this lease. */
  cancelRequested?: boolean
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
  onError: (client: Client, error: unknown) => void = () => {},
): Promise<Client> {
  const client = new Client(config)
  // The driver ends a client that is still connecting only by its socket.
  const abort = (): void => destroy(client)
  client.on('error', (error) => onError(client, error))
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

/** Ends a client immediately, also in the middle of a statement: the server rolls back. */
export function destroy(client: Client): void {
  client.connection.stream.destroy()
}

/** Closes an idle connection with a message, so that the server logs no lost connection; a busy one is cut off. */
export async function closeConnection({ client, pending }: Connection): Promise<void> {
  if (readStatus(client) !== 'I' || pending > 0) return destroy(client)
  await client.end()
}

/** The transaction status as of the last `ReadyForQuery`. */
export function readStatus(client: Client): TransactionStatus {
  return client.getTransactionStatus() as TransactionStatus
}

/** @returns whether the session is like new */
export async function discardAll(connection: Connection): Promise<boolean> {
  await connection.client.query(RESET_SESSION)
  connection.dirty = false
  return sessionState(connection) === 'clean'
}

/**
 * Ends a failed transaction behind a pooler, and resets its session.
 *
 * @returns whether that succeeded
 */
export async function undoPooled({ client }: Connection): Promise<boolean> {
  await client.query(UNDO_POOLED)
  return readStatus(client) === 'I'
}

/** Whether the session is like new, needs `discardAll`, or must be closed. */
export function sessionState(connection: Connection): 'clean' | 'dirty' | 'lost' {
  const { client, dirty, pending } = connection
  if (readStatus(client) !== 'I' || pending > 0) return 'lost'
  return dirty ? 'dirty' : 'clean'
}

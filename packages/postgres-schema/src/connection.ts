import { Client, type ClientConfig } from 'pg'
import { tidySteps } from './scope.ts'
import { runUnit, type UnitResult } from './unit.ts'
import { type EncodedSteps, NO_STEPS } from './wire.ts'

/** One physical connection, in the hands of one user at a time. */
export interface Connection {
  readonly client: Client
  readonly kind: 'admin' | 'tenant'
  /** What is prepared on it. */
  readonly prepared: EncodedSteps
  /** It may hold what the last user left, to be undone before the next. */
  dirty: boolean
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

/** Makes our prepared statements on a connection of our own, after taking away all that was there. */
export async function refresh(connection: Connection): Promise<void> {
  const { client, prepared } = connection
  // First in its message, DISCARD ALL is still alone: what follows it here only prepares.
  await runUnit(client, 'DISCARD ALL', () => ({ before: NO_STEPS, after: prepared }))
  connection.dirty = false
}

/** @param rows what came after the user's statement: whether it left the session as new, if it was asked */
export function isClean({ client }: Connection, rows: UnitResult['after']): boolean {
  return rows.at(-1)?.[0] === 't' && statusOf(client) === 'I'
}

/** @returns whether the next user may have it */
export async function cleanLate(connection: Connection): Promise<boolean> {
  const { client } = connection
  const tried = await runUnit(client, '', () => ({ before: NO_STEPS, after: tidySteps(true) })).catch(
    () => undefined,
  )
  // What takes more than that is rare: a temporary table, a statement prepared.
  if (tried !== undefined && isClean(connection, tried.after)) connection.dirty = false
  else await refresh(connection)
  return statusOf(client) === 'I'
}

/** Whether the connection is as new at once, needs `cleanLate`, or is lost. */
export function verdictOf(connection: Connection): 'clean' | 'dirty' | 'lost' {
  const { client, dirty } = connection
  if (statusOf(client) !== 'I') return 'lost'
  return dirty ? 'dirty' : 'clean'
}

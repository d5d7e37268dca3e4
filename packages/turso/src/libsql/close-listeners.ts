import type { Client } from '@libsql/client/web'

const listeners = new WeakMap<Client, () => void>()

/** Calls `listener` once when a handler closes the client, or destroys a Kysely instance over it. */
export function onClose(client: Client, listener: (() => void) | undefined): Client {
  if (listener !== undefined) listeners.set(client, listener)
  return client
}

/** Calls the client's close listener, so that the next request gets a new client. Other clients have none. */
export function notifyClosed(client: Client): void {
  const listener = listeners.get(client)
  listeners.delete(client)
  listener?.()
}

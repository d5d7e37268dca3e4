import type { Client } from '@libsql/client/web'

const endings = new WeakMap<Client, () => void>()

/** Has `lost` called when the view is ended, by its own `close` or that of a Kysely over it. */
export function watchEnding(view: Client, lost: (() => void) | undefined): Client {
  if (lost !== undefined) endings.set(view, lost)
  return view
}

/** Tells once that a view was ended by who got it: whoever asks next needs another. Any other client is left alone. */
export function tellEnding(client: Client): void {
  const lost = endings.get(client)
  endings.delete(client)
  lost?.()
}

import type * as Driver from '@libsql/client/sqlite3'

/** The URLs of the clients that were created and not closed. */
export const openClients: Set<{ readonly url: string }> = new Set()

/** The native driver, which counts its clients: each stands for one connection. */
export async function countedDriver(importOriginal: () => Promise<typeof Driver>): Promise<typeof Driver> {
  const original = await importOriginal()
  return {
    ...original,
    createClient(config) {
      const client = original.createClient(config)
      const entry = { url: decodeURIComponent(config.url) }
      openClients.add(entry)
      const close = client.close.bind(client)
      client.close = () => {
        openClients.delete(entry)
        close()
      }
      return client
    },
  }
}

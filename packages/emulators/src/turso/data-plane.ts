import { Agent, type IncomingHttpHeaders } from 'node:http'
import { jsonReply, sendLocal } from '../http.ts'
import { type Handler, namespaceNotFound } from './call.ts'
import type { Records } from './records.ts'
import type { SqldProcess } from './sqld.ts'

/** The way to sqld. */
export interface DataPlane {
  readonly handle: Handler
  /** Closes the idle connections. */
  close(): void
}

/**
 * Passes requests on to sqld as they are, with the host they were meant for: sqld finds the namespace by the
 * first label of `Host`.
 */
export function createDataPlane(sqld: SqldProcess, records: Records): DataPlane {
  const agent = new Agent({ keepAlive: true })
  return {
    close: () => agent.destroy(),
    handle: async (call) => {
      const { host, plane, database } = call.record
      // The first label alone would also find a database by a hostname that it does not have.
      const known = records.databases.get(database ?? '')
      if (plane === 'foreign' || (known && known.hostname !== host)) return namespaceNotFound(host)
      const headers = { ...endToEnd(call.headers), host }
      try {
        const { method, target: path, body } = call
        return await sendLocal({ port: sqld.httpPort, method, path, headers, body, agent })
      } catch (error) {
        const reason = sqld.exitReason() ?? `sqld did not answer: ${(error as Error).message}`
        return jsonReply(502, { error: reason })
      }
    },
  }
}

/** The headers that are not about one connection. */
function endToEnd(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const hopByHop = ['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'expect', 'te', 'trailer']
  const entries = Object.entries(headers).filter(
    (header): header is [string, string | string[]] =>
      header[1] !== undefined && !hopByHop.includes(header[0]),
  )
  return Object.fromEntries(entries)
}

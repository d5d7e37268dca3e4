import type { Reply } from '../http.ts'
import type { Call } from './call.ts'
import type { Records } from './records.ts'
import type { Storage } from './storage.ts'

const urlHeader = 'x-emulator-url'

/** Headers of the connection to the emulator, which are not the script's business. */
const connectionHeaders = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  urlHeader,
])

/**
 * Answers what the stand-in for a dispatcher sends: it runs the script. A script that is not there is said in a
 * header, since a script itself may answer 404.
 */
export function createDispatch(records: Records, storage: Storage): (call: Call) => Promise<Reply> {
  return async ({ method, parameters: { namespace, script }, headers, body }) => {
    const record = records.scripts.get(`${namespace}/${script}`)
    if (record === undefined) {
      const missing = { 'x-emulator-error': 'worker-not-found', 'content-type': 'text/plain' }
      return { status: 404, headers: missing, body: Buffer.from('Worker not found.') }
    }
    const url = headers[urlHeader]?.toString() ?? 'https://script.invalid/'
    const forwarded = Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || connectionHeaders.has(name) ? [] : [[name, value] as const],
    )
    return await storage.dispatch(`${namespace}/${script}@${record.version}`, {
      method,
      url,
      headers: Object.fromEntries(forwarded),
      body,
    })
  }
}

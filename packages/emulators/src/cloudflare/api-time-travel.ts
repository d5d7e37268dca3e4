import { invalidProperty, success } from './envelope.ts'
import { type ApiOptions, findDatabase, type Route } from './route.ts'
import type { WireMoment } from './worker/wire.ts'

/** The routes of Time Travel: moments are asked for in the query, also by the POST. */
export function timeTravelRoutes({
  records,
  storage,
  now,
}: ApiOptions): Readonly<Record<'databases.bookmark' | 'databases.restore', Route>> {
  return {
    'databases.bookmark': async (call) => {
      const { uuid } = findDatabase(records, call)
      const moment = parseMoment(call.query, now())
      const travel = await storage.bookmark(uuid, moment)
      if (!travel.ok) throw refused(moment, travel.error)
      return success({ bookmark: travel.bookmark })
    },
    'databases.restore': async (call) => {
      const { uuid } = findDatabase(records, call)
      const moment = parseMoment(call.query, now())
      if (moment.bookmark === undefined && moment.timestamp === undefined) {
        throw invalidProperty('bookmark', 'Either bookmark or timestamp is required')
      }
      const travel = await storage.restore(uuid, moment)
      if (!travel.ok) throw refused(moment, travel.error)
      const { bookmark, previous } = travel
      const message = `Database restored. To undo this operation, you can restore to the previous bookmark: ${previous}`
      return success({ bookmark, previous_bookmark: previous, message })
    },
  }
}

function parseMoment(query: URLSearchParams, now: number): WireMoment {
  const [bookmark, text] = [query.get('bookmark'), query.get('timestamp')]
  if (bookmark !== null && text !== null)
    throw invalidProperty('timestamp', 'Use either bookmark or timestamp')
  if (text === null) return bookmark === null ? {} : { bookmark }
  const timestamp = Date.parse(text)
  if (Number.isNaN(timestamp)) throw invalidProperty('timestamp', 'Invalid timestamp')
  if (timestamp > now) throw invalidProperty('timestamp', 'Timestamp is in the future')
  return { timestamp }
}

function refused(moment: WireMoment, problem: string): Error {
  return invalidProperty(moment.bookmark === undefined ? 'timestamp' : 'bookmark', problem)
}

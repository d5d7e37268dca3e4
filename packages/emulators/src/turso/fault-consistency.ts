import type { Fault } from '../fault-engine.ts'
import { jsonReply } from '../http.ts'
import { namespaceNotFound } from './call.ts'
import type { FaultEngine } from './fault-engine.ts'

/** Faults of a control plane that runs ahead of, or behind, what it controls. */
export interface ConsistencyFaults {
  /**
   * Databases created from now on answer 404 on their own host: each for its first `requests` requests, or until
   * the fault is removed. @default requests Infinity
   */
  notFoundAfterCreate(options?: { database?: string | undefined; requests?: number | undefined }): Fault
  /**
   * A delete answers 200 and is carried out, but retrieving the database still finds it: for `retrievals`
   * requests, or until the fault is removed. @default retrievals Infinity
   */
  staleAfterDelete(options?: { database?: string | undefined; retrievals?: number | undefined }): Fault
}

/** @param present What `GET …/databases/{name}` shows of a database now. */
export function createConsistencyFaults(
  engine: FaultEngine,
  present: (name: string) => unknown,
): ConsistencyFaults {
  const times = Number.POSITIVE_INFINITY
  return {
    notFoundAfterCreate: ({ database, requests = Number.POSITIVE_INFINITY } = {}) => {
      const left = new Map<string, number>()
      return engine.add(
        { operation: 'data', database, times },
        {
          name: 'notFoundAfterCreate',
          observe: ({ record }, reply) => {
            const created = record.operation === 'databases.create' && reply.status === 200
            if (created && record.database !== undefined) left.set(record.database, requests)
          },
          instead: ({ record }) => {
            const remaining = left.get(record.database ?? '') ?? 0
            if (remaining <= 0) return undefined
            left.set(record.database ?? '', remaining - 1)
            return namespaceNotFound(record.host)
          },
        },
      )
    },
    staleAfterDelete: ({ database, retrievals = Number.POSITIVE_INFINITY } = {}) => {
      const seen = new Map<string, unknown>()
      const left = new Map<string, number>()
      return engine.add(
        { operation: ['databases.delete', 'databases.retrieve'], database, times },
        {
          name: 'staleAfterDelete',
          instead: ({ record: { operation, database: name = '' } }) => {
            if (operation === 'databases.delete') seen.set(name, present(name))
            const remaining = left.get(name) ?? 0
            if (operation !== 'databases.retrieve' || remaining <= 0) return undefined
            left.set(name, remaining - 1)
            return jsonReply(200, { database: seen.get(name) })
          },
          observe: ({ record: { operation, database: name = '' } }, reply) => {
            if (reply.status !== 200) return
            if (operation === 'databases.delete' && seen.get(name) !== undefined) left.set(name, retrievals)
            // A database that is really there again is shown as it is.
            if (operation === 'databases.create') left.delete(name)
          },
        },
      )
    },
  }
}

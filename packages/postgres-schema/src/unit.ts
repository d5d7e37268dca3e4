import { Query, type QueryResult } from 'pg'
import type { EncodedSteps } from './wire.ts'

/** What is sent in one message with the user's statement: it all happens, or none of it. */
export interface Unit {
  readonly before: EncodedSteps
  readonly after: EncodedSteps
  /** `after` is what makes the transaction the tenant's: its failure is as that of `before`. */
  readonly scopedAfter?: boolean
}

export interface UnitResult {
  readonly result: QueryResult
  /** The rows of `after`, as text. */
  readonly after: readonly (readonly (string | null)[])[]
}

/** What the user's statement may be. */
export type QueryInput =
  | string
  | { readonly text?: string; readonly values?: unknown[]; readonly [option: string]: unknown }

/** The error of a unit whose scope was refused: nothing of the user's ran without it. */
export class RefusedUnit extends Error {
  override readonly name = 'RefusedUnit'
}

/** The part of `pg`'s connection that sends: https://www.postgresql.org/docs/current/protocol-flow.html */
interface Wire {
  readonly stream: { write(bytes: Uint8Array): unknown }
  sync(): void
  once(event: 'readyForQuery' | 'end', listener: () => void): void
  off(event: 'readyForQuery' | 'end', listener: () => void): void
}

/** What `pg`'s own `Query` is made of, as far as it is needed here. */
interface PgQuery {
  text: string
  prepare(wire: Wire): void
  submit(wire: Wire): Error | null
  handleCommandComplete(message: unknown, wire: Wire): void
  handleEmptyQuery(wire: Wire): void
  handleDataRow(message: { fields: (string | null)[] }): void
  handleError(error: Error, wire: Wire): void
  handleReadyForQuery(wire: Wire): void
  query_timeout?: unknown
}

interface QueryClient {
  query(query: unknown): unknown
}

/**
 * Runs one statement between others of ours, in one round trip: all are sent before a single Sync, so they are one
 * transaction, and an error in one of them skips the rest. That makes it safe behind a transaction pooler, and fails
 * closed: without its scope the statement does not run at all.
 *
 * `BEGIN` as the user's statement turns that transaction into an open one, with the settings of `before` in it.
 *
 * Settles when the connection is ready again, so that its transaction status is true then.
 *
 * @param unitOf asked when the connection's turn has come, with the status it has then
 * @throws `RefusedUnit`, with the cause, when its scope was refused
 */
export function runUnit(client: QueryClient, input: QueryInput, unitOf: () => Unit): Promise<UnitResult> {
  return new Promise((resolve, reject) => {
    const rows: (string | null)[][] = []
    let unit: Unit | undefined
    let before = 0
    let done = false
    const query = createQuery(input, (error, result) => {
      if (error !== null) reject(error)
      else resolve({ result: result as QueryResult, after: rows })
    })
    const own = { ...bound(query) }

    query.submit = (wire) => {
      try {
        unit = unitOf()
      } catch (error) {
        return error as Error
      }
      before = unit.before.executed
      return own.submit(wire)
    }
    query.prepare = (wire) => {
      put(wire, unit?.before)
      const { sync } = wire
      // The user's statement ends with a Sync, also when a value cannot be sent; what is ours comes before that.
      wire.sync = () => {
        wire.sync = sync
        put(wire, unit?.after)
        sync.call(wire)
      }
      try {
        own.prepare(wire)
      } finally {
        wire.sync = sync
      }
    }
    query.handleCommandComplete = (message, wire) => {
      if (before > 0) before--
      else if (!done) {
        done = true
        own.handleCommandComplete(message, wire)
      }
    }
    query.handleEmptyQuery = () => {
      done = true
    }
    query.handleDataRow = (message) => {
      if (done) rows.push(message.fields)
      else if (before === 0) own.handleDataRow(message)
    }
    query.handleError = (error, wire) => {
      const refused = 'severity' in error && (before > 0 || (done && unit?.scopedAfter === true))
      const told = refused ? new RefusedUnit(error.message, { cause: error }) : error
      if (!('severity' in error)) return own.handleError(told, wire)
      const settle = (): void => {
        wire.off('readyForQuery', settle)
        wire.off('end', settle)
        own.handleError(told, wire)
      }
      wire.once('readyForQuery', settle)
      wire.once('end', settle)
    }
    client.query(query)
  })
}

function createQuery(input: QueryInput, callback: (error: Error | null, result: unknown) => void): PgQuery {
  const { text, values, rowMode, types, binary, query_timeout } =
    typeof input === 'string' ? ({ text: input } as Exclude<QueryInput, string>) : input
  // Without its name: prepared statements do not outlive a lease. Without `rows`: paging would hold the unit open.
  const config = { text, rowMode, types, binary, queryMode: 'extended' }
  const query = new Query(config as never, (values ?? []) as never, callback as never) as unknown as PgQuery
  if (query_timeout !== undefined) query.query_timeout = query_timeout
  return query
}

function bound(query: PgQuery): Omit<PgQuery, 'text' | 'query_timeout'> {
  const { prepare, submit, handleCommandComplete, handleEmptyQuery } = query
  const { handleDataRow, handleError, handleReadyForQuery } = query
  return {
    prepare: prepare.bind(query), submit: submit.bind(query), handleCommandComplete: handleCommandComplete.bind(query),
    handleEmptyQuery: handleEmptyQuery.bind(query), handleDataRow: handleDataRow.bind(query),
    handleError: handleError.bind(query), handleReadyForQuery: handleReadyForQuery.bind(query),
  } // biome-ignore format: one list
}

function put(wire: Wire, steps: EncodedSteps | undefined): void {
  if (steps !== undefined && steps.bytes.length > 0) wire.stream.write(steps.bytes)
}

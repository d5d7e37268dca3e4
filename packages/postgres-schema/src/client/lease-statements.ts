import type { QueryResult, Submittable } from 'pg'
import type { Connection } from '../connections/connection.ts'
import { type QueryInput, setPipeline } from '../connections/pipeline.ts'

/** Statements of the holder of one lease. */
export interface LeaseStatements {
  query(input: QueryInput): Promise<QueryResult>
  /** Sends a cursor or a stream of the driver's. Errors are reported to it, as the driver does. */
  submit(query: Submittable): void
}

/** Runs statements of the app between statements of ours, sent together. */
export interface ScopedRun {
  /** One statement, as a transaction of its own that leaves nothing in the session. */
  single(connection: Connection, input: QueryInput): Promise<QueryResult>
  /** All statements in one transaction; rejects with the first error. */
  batch(connection: Connection, inputs: readonly QueryInput[]): Promise<void>
}

/** Runs work after work. `idle` is whether no work is waited for. */
export interface Turns {
  readonly idle: boolean
  take<Value>(work: () => Promise<Value>): Promise<Value>
}

export function createTurns(): Turns {
  let last: Promise<unknown> | undefined
  return {
    get idle() {
      return last === undefined
    },
    take(work) {
      const statement = last === undefined ? work() : last.then(work)
      const ended: Promise<void> = statement.then(
        () => {},
        () => {},
      )
      last = ended
      void ended.then(() => {
        if (last === ended) last = undefined
      })
      return statement
    },
  }
}

/** Sends a cursor or a stream. The lease counts as busy until the driver has nothing left to do for it. */
export function sendSubmitted(connection: Connection, query: Submittable): void {
  // The driver takes no cursor in a pipeline.
  setPipeline(connection, 'off')
  connection.dirty = true
  connection.pending++
  connection.client.once('drain', () => {
    connection.pending--
  })
  connection.client.query(query)
}

/** Reports an error to a cursor or a stream, as the driver does. */
export function failSubmitted(query: Submittable, error: unknown, { client }: Connection): void {
  const { handleError } = query as { handleError?: (error: unknown, connection: unknown) => void }
  queueMicrotask(() => handleError?.call(query, error, client.connection))
}

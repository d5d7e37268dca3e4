import { Query, type QueryResult } from 'pg'
import { gathered, NO_STEPS } from './wire.ts'

/** What of `pg`'s connection sends: https://www.postgresql.org/docs/current/protocol-flow.html */
export interface Wire {
  readonly stream: {
    readonly writable: boolean
    write(bytes: Uint8Array): unknown
    destroy(error: Error): unknown
  }
  sync(): void
  once(event: 'readyForQuery' | 'end', listener: () => void): void
  off(event: 'readyForQuery' | 'end', listener: () => void): void
}

/** What `pg`'s own `Query` is made of, as far as it is needed here. */
interface PgQuery {
  queryMode?: string
  query_timeout?: unknown
  callback: () => void
  submit(wire: Wire): Error | null
  prepare(wire: Wire): void
  handleCommandComplete(message: object, wire: Wire): void
  handleEmptyQuery(wire: Wire): void
  handleDataRow(message: unknown): void
  handleError(error: Error, wire: Wire): void
  handleReadyForQuery(wire: Wire): void
}

export type Callback = (error: Error | null, result: QueryResult) => void

/** The driver's own, to be made ours. */
export const BaseQuery = Query as unknown as new (
  config: object | string,
  values: readonly unknown[],
  callback: Callback,
) => PgQuery

/** Whether the server sent it, and goes on to say that it is ready. */
export function isAnswer(error: Error): boolean {
  return 'severity' in error
}

/** Calls it when the server is ready again, or the connection has ended. */
export function onceReady(wire: Wire, ready: () => void): void {
  const settle = (): void => {
    wire.off('readyForQuery', settle)
    wire.off('end', settle)
    ready()
  }
  wire.once('readyForQuery', settle)
  wire.once('end', settle)
}

/** What a connection of the driver's is handed instead of itself, to write on. */
interface Paper {
  readonly wire: Wire
  begin(before: Uint8Array, after: Uint8Array): void
  written(): Uint8Array
}

const papers = new WeakMap<Wire, Paper>()

export function paperOf(wire: Wire): Paper {
  const known = papers.get(wire)
  if (known !== undefined) return known
  let parts: Uint8Array[] = []
  let last: Uint8Array = NO_STEPS.bytes
  const stream = { writable: true, write: (bytes: Uint8Array) => parts.push(bytes) }
  const written: Wire = Object.assign(Object.create(wire), {
    stream,
    // The user's statement ends with a Sync, also when a value cannot be sent; what is ours comes before that.
    sync() {
      parts.push(last)
      wire.sync.call(written)
    },
  })
  const paper: Paper = {
    wire: written,
    begin(before, after) {
      parts = [before]
      last = after
    },
    written: () => gathered(parts),
  }
  papers.set(wire, paper)
  return paper
}

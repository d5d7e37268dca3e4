import { Query, type QueryResult } from 'pg'
import { type EncodedSteps, joined, NO_STEPS } from './wire.ts'

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

/** What of `pg`'s connection sends: https://www.postgresql.org/docs/current/protocol-flow.html */
interface Wire {
  readonly stream: { readonly writable: boolean; write(bytes: Uint8Array): unknown }
  sync(): void
  once(event: 'readyForQuery' | 'end', listener: () => void): void
  off(event: 'readyForQuery' | 'end', listener: () => void): void
}

/** What `pg`'s own `Query` is made of, as far as it is needed here. */
interface PgQuery {
  query_timeout?: unknown
  submit(wire: Wire): Error | null
  prepare(wire: Wire): void
  handleCommandComplete(message: unknown, wire: Wire): void
  handleEmptyQuery(wire: Wire): void
  handleDataRow(message: { readonly fields: (string | null)[] }): void
  handleError(error: Error, wire: Wire): void
}

const NOTHING: Unit = { before: NO_STEPS, after: NO_STEPS }

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
    const query: UnitQuery = new UnitQuery(input, unitOf, (error, result) => {
      if (error !== null) reject(error)
      else resolve({ result: result as QueryResult, after: query.after })
    })
    client.query(query)
  })
}

const BaseQuery = Query as unknown as new (
  config: object,
  values: readonly unknown[],
  callback: (error: Error | null, result: unknown) => void,
) => PgQuery

class UnitQuery extends BaseQuery {
  readonly after: (string | null)[][] = []
  #unitOf: () => Unit
  #unit: Unit | undefined
  /** Answers to `before` that are still to come. */
  #before = 0
  /** The user's statement was answered. */
  #done = false

  constructor(
    input: QueryInput,
    unitOf: () => Unit,
    callback: (error: Error | null, result: unknown) => void,
  ) {
    const {
      text,
      values = [],
      rowMode,
      types,
      binary,
      query_timeout,
    }: Exclude<QueryInput, string> = typeof input === 'string' ? { text: input } : input
    // Without its name: prepared statements do not outlive a lease. Without `rows`: paging would hold the unit open.
    super({ text, rowMode, types, binary, queryMode: 'extended' }, values, callback)
    if (query_timeout !== undefined) this.query_timeout = query_timeout
    this.#unitOf = unitOf
  }

  override submit(wire: Wire): Error | null {
    try {
      this.#unit = this.#unitOf()
    } catch (error) {
      return error as Error
    }
    this.#before = this.#unit.before.executed
    return super.submit(wire)
  }

  /** All of it is one write: several cost more than the statements. */
  override prepare(wire: Wire): void {
    const { before, after } = this.#unit ?? NOTHING
    const parts = [before.bytes]
    const paper: Wire = Object.create(wire, {
      stream: { value: { writable: true, write: (bytes: Uint8Array) => parts.push(bytes) } },
      // The user's statement ends with a Sync, also when a value cannot be sent; what is ours comes before that.
      sync: {
        value() {
          parts.push(after.bytes)
          wire.sync.call(paper)
        },
      },
    })
    super.prepare(paper)
    if (wire.stream.writable) wire.stream.write(joined(parts))
  }

  override handleCommandComplete(message: unknown, wire: Wire): void {
    if (this.#before > 0) this.#before--
    else if (!this.#done) {
      this.#done = true
      super.handleCommandComplete(message, wire)
    }
  }

  override handleEmptyQuery(): void {
    this.#done = true
  }

  override handleDataRow(message: { readonly fields: (string | null)[] }): void {
    if (this.#done) this.after.push(message.fields)
    else if (this.#before === 0) super.handleDataRow(message)
  }

  override handleError(error: Error, wire: Wire): void {
    if (!('severity' in error)) {
      super.handleError(error, wire)
      return
    }
    const refused = this.#before > 0 || (this.#done && this.#unit?.scopedAfter === true)
    const told = refused ? new RefusedUnit(error.message, { cause: error }) : error
    const settle = (): void => {
      wire.off('readyForQuery', settle)
      wire.off('end', settle)
      super.handleError(told, wire)
    }
    wire.once('readyForQuery', settle)
    wire.once('end', settle)
  }
}

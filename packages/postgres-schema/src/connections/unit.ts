import { TenancyError } from '@tenantry/multi-tenancy'
import type { Client, QueryResult, Submittable } from 'pg'
import { isState } from '../errors.ts'
import { BaseQuery, type Callback, isAnswer, onceReady, paperOf, type Wire } from './driver.ts'
import { type EncodedSteps, encodeSteps, joined, NO_STEPS, SYNC, scatter } from './wire.ts'

/** What is sent in one message with the user's statement: it all happens, or none of it. */
export interface Unit {
  readonly before: EncodedSteps
  readonly after: EncodedSteps
  /** `after` is what makes the transaction the tenant's: its failure is as that of `before`. */
  readonly scopedAfter?: boolean
  /** What leaves the session as new: `after`, or `DISCARD ALL` behind it, in a transaction of its own. */
  readonly leaves?: 'within' | 'behind'
}

/** What units are run on. */
export interface Session {
  readonly client: Client
  /** It may hold what its last user left, to be undone before the next. */
  dirty: boolean
}

/** What the user's statement may be. */
export type QueryInput =
  | string
  | { readonly text?: string; readonly values?: unknown[]; readonly [option: string]: unknown }

/** The error of a unit whose scope was refused: nothing of the user's ran without it. */
export class RefusedUnit extends Error {
  override readonly name = 'RefusedUnit'
}

const NOTHING: Unit = { before: NO_STEPS, after: NO_STEPS }

/**
 * Runs one statement between others of ours, in one round trip: all are sent before a single Sync, so they are one
 * transaction, and an error in one of them skips the rest. That makes it safe behind a transaction pooler, and fails
 * closed: without its scope the statement does not run at all. What cleans `behind` it runs in any case.
 *
 * `BEGIN` as the user's statement turns that transaction into an open one, with the settings of `before` in it.
 *
 * Settles when the connection is ready again, so that its transaction status is true then. The session counts as dirty
 * until a unit that leaves it as new ended well: a lock outlives the error after it.
 *
 * @param unitOf asked when the connection's turn has come, with the status it has then
 * @param mayDiscard the unit may be one that leaves `behind`; otherwise such a one leaves the session dirty
 * @throws `RefusedUnit`, with the cause, when its scope was refused
 */
export function runUnit(
  session: Session,
  input: QueryInput,
  unitOf: () => Unit,
  mayDiscard = false,
): Promise<QueryResult> {
  return new Promise((resolve, reject) => {
    const settle: Callback = (error, result) => {
      if (error !== null) reject(error)
      else resolve(result)
    }
    const unit = new UnitQuery(session, input, unitOf, mayDiscard, settle)
    session.client.query(unit as unknown as Submittable)
    if (mayDiscard) session.client.query(new DiscardQuery(session, unit) as unknown as Submittable)
  })
}

class UnitQuery extends BaseQuery {
  #session: Session
  #unitOf: () => Unit
  #mayDiscard: boolean
  #unit = NOTHING
  /** Answers to `before` that are still to come. */
  #before = 0
  /** The user's statement was answered. */
  #done = false
  /** It asked for data. */
  #copies = false
  /** `DISCARD ALL` was sent behind it, and was not answered yet. */
  discards = false
  /** Tells the user, once the session was discarded. */
  tell: (() => void) | undefined

  constructor(
    session: Session,
    input: QueryInput,
    unitOf: () => Unit,
    mayDiscard: boolean,
    callback: Callback,
  ) {
    const config: Exclude<QueryInput, string> = typeof input === 'string' ? { text: input } : input
    // Without its name: prepared statements do not outlive a lease. Without `rows`: paging would hold the unit open.
    const { text, values = [], rowMode, types, binary, query_timeout } = config
    const plain = rowMode === undefined && types === undefined && binary === undefined
    // The driver copies a configuration, property by property; a text it takes as it is.
    super(plain && typeof text === 'string' ? text : { text, rowMode, types, binary }, values, callback)
    this.queryMode = 'extended'
    if (query_timeout !== undefined) this.query_timeout = query_timeout
    this.#session = session
    this.#unitOf = unitOf
    this.#mayDiscard = mayDiscard
  }

  override submit(wire: Wire): Error | null {
    try {
      this.#unit = this.#unitOf()
    } catch (error) {
      return error as Error
    }
    this.#before = this.#unit.before.executed
    this.#session.dirty = true
    return super.submit(wire)
  }

  /** All of it is one write: several cost more than the statements. */
  override prepare(wire: Wire): void {
    const { before, after, leaves } = this.#unit
    const paper = paperOf(wire)
    paper.begin(before.bytes, after.bytes)
    super.prepare(paper.wire)
    if (leaves === 'behind' && this.#mayDiscard) {
      this.discards = true
      paper.wire.stream.write(DISCARD)
    }
    const bytes = paper.written()
    if (before.seedAt !== undefined) scatter(bytes, before.seedAt)
    if (wire.stream.writable) wire.stream.write(bytes)
  }

  override handleCommandComplete(message: object, wire: Wire): void {
    if (this.#before > 0) this.#before--
    else if (!this.#done) {
      this.#done = true
      super.handleCommandComplete(message, wire)
    }
  }

  override handleEmptyQuery(): void {
    this.#done = true
  }

  override handleDataRow(message: unknown): void {
    if (this.#before === 0 && !this.#done) super.handleDataRow(message)
  }

  /**
   * The server takes what comes next for data: a message of ours, which fails it. Without one it may have taken the Sync,
   * or failed before: nobody knows which answers are still to come.
   */
  handleCopyInResponse(wire: Wire): void {
    this.#copies = true
    if (this.#unit.after.bytes.length === 0) wire.stream.destroy(needsStream())
  }

  override handleReadyForQuery(wire: Wire): void {
    const { client } = this.#session
    if (this.#unit.leaves === 'within' && client.getTransactionStatus() === 'I') this.#session.dirty = false
    this.#settle(() => super.handleReadyForQuery(wire))
  }

  override handleError(error: Error, wire: Wire): void {
    if (!isAnswer(error)) {
      // The driver's own tells of a connection that has no future.
      super.handleError(error, wire)
      return
    }
    const refused = this.#before > 0 || (this.#done && this.#unit.scopedAfter === true)
    const failed = this.#copies && isState(error, '57014', '08P01') ? needsStream(error) : error
    const told = refused ? new RefusedUnit(error.message, { cause: error }) : failed
    onceReady(wire, () => this.#settle(() => super.handleError(told, wire)))
  }

  #settle(tell: () => void): void {
    if (!this.discards) tell()
    else this.tell = tell
  }
}

function needsStream(cause?: Error): TenancyError {
  return new TenancyError('not_supported', 'COPY FROM STDIN needs a stream', { cause })
}

const DISCARD_ALL = 'DISCARD ALL'
const DISCARD = joined([encodeSteps([DISCARD_ALL]).bytes, SYNC])

/** What the driver is told where there is nothing to wait for. */
const NOT_SENT = new Error('Nothing to discard')

/** The driver's next query: waits for the answer to what was sent behind a unit. */
class DiscardQuery extends BaseQuery {
  #session: Session
  #unit: UnitQuery
  #done = false

  constructor(session: Session, unit: UnitQuery) {
    super(DISCARD_ALL, [], () => {})
    // No sooner than the unit's: what times out takes its connection with it.
    this.query_timeout = unit.query_timeout
    this.#session = session
    this.#unit = unit
  }

  override submit(): Error | null {
    return this.#unit.discards ? null : NOT_SENT
  }

  override handleCommandComplete({ text }: { readonly text?: string }): void {
    this.#done = text === DISCARD_ALL
  }

  override handleReadyForQuery(): void {
    if (this.#done && this.#session.client.getTransactionStatus() === 'I') this.#session.dirty = false
    this.#end()
  }

  override handleError(error: Error, wire: Wire): void {
    if (isAnswer(error)) onceReady(wire, () => this.#end())
    else this.#end()
  }

  /** A connection that was lost tells it before the unit. */
  #end(): void {
    // Stops the driver's timer.
    this.callback()
    this.#unit.discards = false
    this.#unit.tell?.()
  }
}

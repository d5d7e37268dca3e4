import { splitStatements, TenancyError } from '@tenantry/multi-tenancy'
import type { QueryResult, Submittable } from 'pg'
import { type Connection, statusOf } from '../connections/connection.ts'
import {
  beginSteps,
  LEAVE_ALONE,
  LEAVE_FIRST,
  LEAVE_SHARED,
  NEW_SEED,
  presenceSteps,
  type Scope,
  scopeSteps,
  sharedUnit,
  UNDO_SHARED,
} from '../connections/scope.ts'
import { type QueryInput, runUnit, type Unit } from '../connections/unit.ts'
import { COPY_FAIL, encodeSteps, NO_STEPS } from '../connections/wire.ts'
import type { Pooler } from '../options.ts'
import { endingOf, opensTransaction, refuseSessionState, shapesTransaction } from './session-sql.ts'

/** Statements of one tenant on a leased connection. */
export interface Statements {
  /** One statement that is a transaction of its own and leaves nothing behind. */
  single(connection: Connection, input: QueryInput): Promise<QueryResult>
  /** One of several by the same holder, who may open transactions. */
  next(connection: Connection, input: QueryInput): Promise<QueryResult>
  /** All of them in one transaction, in one round trip; rejects with the first error. */
  batch(connection: Connection, inputs: readonly QueryInput[]): Promise<void>
  /** A cursor or a stream of the driver's. */
  submit<Query extends Submittable>(connection: Connection, query: Query): Query
}

/**
 * @param scope what statements on a shared connection begin with; `undefined` where the connection is the tenant's own
 */
export function createStatements(scope: Scope | undefined, pooler: Pooler): Statements {
  const own = pooler === 'session'
  /** Transactions whose scope was not yet held against the catalogue. */
  const unproven = new WeakSet<Connection>()
  /** Transactions that their holder opened. */
  const opened = new WeakSet<Connection>()
  const alone: Unit = own
    ? { ...LEAVE_ALONE, before: scope === undefined ? NO_STEPS : scopeSteps(scope) }
    : sharedUnit(scope)
  const chain: Unit = {
    before: NO_STEPS,
    after: scope === undefined ? NO_STEPS : beginSteps(scope),
    scopedAfter: true,
  }
  const begin: Unit = { ...chain, before: encodeSteps([NEW_SEED]) }
  // After a statement of its own that failed behind a pooler.
  const aloneAgain = sharedUnit(scope, UNDO_SHARED)
  const beginAgain: Unit = { ...begin, before: encodeSteps([...UNDO_SHARED, NEW_SEED]) }
  // Poolers may know CopyFail only where they expect it.
  const inside: Unit = { before: NO_STEPS, after: own ? COPY_FAIL : NO_STEPS }
  const proven: Unit = scope === undefined ? inside : { ...inside, before: presenceSteps(scope) }

  function textOf(input: QueryInput): string {
    const text = typeof input === 'string' ? input : String(input.text ?? '')
    if (!own) refuseSessionState(text)
    return text
  }

  async function single(connection: Connection, input: QueryInput): Promise<QueryResult> {
    const text = textOf(input)
    if (opensTransaction(text)) {
      throw new TenancyError('not_supported', 'A transaction needs a client of its own: use connect()')
    }
    // Several statements are sent as they are; on a tenant's own connection they may.
    if (scope === undefined && !isOne(input, text)) return next(connection, input)
    return runUnit(connection, input, () => alone, own)
  }

  function unitOf(connection: Connection, text: string): Unit {
    const status = statusOf(connection.client)
    if (status === 'I') opened.delete(connection)
    const failed = status === 'E' && !own && !opened.has(connection)
    const ending = status === 'I' ? undefined : endingOf(text)
    if (ending === 'chain' || ((status === 'I' || failed) && opensTransaction(text))) {
      unproven.add(connection)
      opened.add(connection)
      if (ending === 'chain') return chain
      return failed ? beginAgain : begin
    }
    if (status === 'I') return alone
    if (ending === 'end') return own ? LEAVE_ALONE : status === 'T' ? LEAVE_FIRST : LEAVE_SHARED
    if (failed) return aloneAgain
    if (status !== 'T') return inside
    return shapesTransaction(text) || !unproven.delete(connection) ? inside : proven
  }

  async function next(connection: Connection, input: QueryInput): Promise<QueryResult> {
    const text = textOf(input)
    if (scope !== undefined) {
      const mayDiscard = own && (statusOf(connection.client) !== 'T' || endingOf(text) !== undefined)
      return runUnit(connection, input, () => unitOf(connection, text), mayDiscard)
    }
    // What a holder sets on a connection of the tenant's own is there until it is given back.
    connection.dirty = true
    return connection.client.query(withoutName(input) as never) as unknown as Promise<QueryResult>
  }

  async function batch(connection: Connection, inputs: readonly QueryInput[]): Promise<void> {
    const pipelined = connection.client as { pipeline: boolean }
    pipelined.pipeline = true
    try {
      const outcomes = await Promise.allSettled([
        runUnit(connection, 'BEGIN', () => begin),
        ...inputs.map((input, at) => runUnit(connection, input, () => (at === 0 ? proven : inside))),
        // After an error it rolls back.
        runUnit(connection, 'COMMIT', () => (own ? LEAVE_ALONE : LEAVE_FIRST), own),
      ])
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    } finally {
      pipelined.pipeline = false
    }
  }

  function submit<Query extends Submittable>(connection: Connection, query: Query): Query {
    if (!own) refuseEnding(query)
    const { client } = connection
    const refusal = (): TenancyError | undefined => {
      if (scope === undefined || statusOf(client) === 'T') return undefined
      return new TenancyError('not_supported', 'A cursor or stream needs an open transaction here')
    }
    const refused = refusal()
    if (refused !== undefined) throw refused
    const send: (wire: never) => unknown = query.submit.bind(query)
    // Asked again when its turn has come: what was before it may have ended the transaction.
    return client.query(
      Object.assign(query, {
        submit(wire: never) {
          connection.dirty = true
          return refusal() ?? send(wire)
        },
      }),
    )
  }

  return { single, next, batch, submit }
}

/** Behind a pooler a transaction ends with what undoes it, which only a statement of its own can be sent with. */
function refuseEnding(query: object): void {
  const { text, cursor } = query as { text?: unknown; cursor?: { text?: unknown } }
  for (const each of splitStatements(String(text ?? cursor?.text ?? ''), 'postgres')) {
    refuseSessionState(each)
    if (endingOf(each) === undefined) continue
    throw new TenancyError('not_supported', 'A cursor or stream cannot end the transaction')
  }
}

/** Whether the server is sent one statement: with values the driver sends no more, and without a `;` there is no more. */
function isOne(input: QueryInput, text: string): boolean {
  const values = typeof input === 'string' ? undefined : input.values
  return (Array.isArray(values) && values.length > 0) || !/;\s*\S/.test(text)
}

/** Prepared statements do not outlive a lease, and the driver would believe they do. */
function withoutName(input: QueryInput): QueryInput {
  if (typeof input === 'string') return input
  const { name: _, ...rest } = input
  return rest
}

import { TenancyError } from '@tenantry/multi-tenancy'
import type { QueryResult, Submittable } from 'pg'
import { type Connection, statusOf } from './connection.ts'
import type { Pooler } from './options.ts'
import {
  beginSteps,
  LEAVE_ALONE,
  LEAVE_FIRST,
  LEAVE_SHARED,
  presenceSteps,
  type Scope,
  scopeSteps,
} from './scope.ts'
import { endsTransaction, opensTransaction, refuseSessionState, shapesTransaction } from './session-sql.ts'
import { NOTHING, type QueryInput, runUnit, type Unit } from './unit.ts'
import { NO_STEPS } from './wire.ts'

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
  const leaving = own ? LEAVE_ALONE : LEAVE_SHARED
  const alone: Unit = scope === undefined ? leaving : { ...leaving, before: scopeSteps(scope) }
  const begin: Unit = {
    before: NO_STEPS,
    after: scope === undefined ? NO_STEPS : beginSteps(scope),
    scopedAfter: true,
  }
  const proof = scope === undefined ? NO_STEPS : presenceSteps(scope)

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
    return runUnit(connection, input, () => alone)
  }

  function unitOf(connection: Connection, text: string): Unit {
    const status = statusOf(connection.client)
    if (status === 'I') {
      if (!opensTransaction(text)) return alone
      unproven.add(connection)
      return begin
    }
    if (own && endsTransaction(text)) return LEAVE_ALONE
    if (status !== 'T') return NOTHING
    if (endsTransaction(text)) return LEAVE_FIRST
    if (shapesTransaction(text) || !unproven.delete(connection)) return NOTHING
    return { before: proof, after: NO_STEPS }
  }

  async function next(connection: Connection, input: QueryInput): Promise<QueryResult> {
    const text = textOf(input)
    if (scope !== undefined) return runUnit(connection, input, () => unitOf(connection, text))
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
        ...inputs.map((input, at) =>
          runUnit(connection, input, () => (at === 0 ? { before: proof, after: NO_STEPS } : NOTHING)),
        ),
        // After an error it rolls back.
        runUnit(connection, 'COMMIT', () => (own ? LEAVE_ALONE : LEAVE_FIRST)),
      ])
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    } finally {
      pipelined.pipeline = false
    }
  }

  function submit<Query extends Submittable>(connection: Connection, query: Query): Query {
    if (scope !== undefined && statusOf(connection.client) !== 'T') {
      throw new TenancyError('not_supported', 'A cursor or stream needs an open transaction here')
    }
    connection.dirty = true
    return connection.client.query(query)
  }

  return { single, next, batch, submit }
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

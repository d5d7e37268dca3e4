import { TenancyError } from '@tenantry/multi-tenancy'
import type { QueryResult, Submittable } from 'pg'
import { type Connection, statusOf } from './connection.ts'
import type { Pooler } from './options.ts'
import { beginSteps, presenceSteps, type Scope, scopeSteps, tidySteps } from './scope.ts'
import { endsTransaction, opensTransaction, refuseSessionState, shapesTransaction } from './session-sql.ts'
import { type QueryInput, runUnit, type Unit } from './unit.ts'
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
  const tidy = tidySteps(own)
  const nothing: Unit = { before: NO_STEPS, after: NO_STEPS }
  const alone: Unit = { before: scope === undefined ? NO_STEPS : scopeSteps(scope, own), after: tidy }
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
    // Without values the driver sends text as it is, several statements too; on a tenant's own connection it may.
    if (scope === undefined && !hasValues(input)) return next(connection, input)
    // Until it ends well there may be something left: a lock outlives the error after it.
    connection.dirty = true
    const { result, after } = await runUnit(connection.client, input, () => alone)
    connection.dirty = false
    if (own && after.at(-1)?.[0] !== 't') connection.spoilt = true
    return result
  }

  function unitOf(connection: Connection, text: string): Unit {
    if (scope === undefined) return nothing
    const status = statusOf(connection.client)
    if (status === 'I') {
      if (!opensTransaction(text)) return alone
      unproven.add(connection)
      return begin
    }
    if (status !== 'T') return nothing
    if (endsTransaction(text)) return own ? nothing : { before: tidy, after: NO_STEPS }
    if (shapesTransaction(text) || !unproven.delete(connection)) return nothing
    return { before: proof, after: NO_STEPS }
  }

  async function next(connection: Connection, input: QueryInput): Promise<QueryResult> {
    const text = textOf(input)
    connection.dirty = true
    if (scope === undefined) {
      return connection.client.query(withoutName(input) as never) as unknown as Promise<QueryResult>
    }
    const { result } = await runUnit(connection.client, input, () => unitOf(connection, text))
    return result
  }

  async function batch(connection: Connection, inputs: readonly QueryInput[]): Promise<void> {
    const { client } = connection
    connection.dirty = true
    const pipelined = client as { pipeline: boolean }
    pipelined.pipeline = true
    const run = (input: QueryInput, unit: Partial<Unit>): Promise<unknown> =>
      runUnit(client, input, () => ({ ...nothing, ...unit }))
    const all = [
      run('BEGIN', begin),
      ...inputs.map((input, at) => run(input, at === 0 ? { before: proof } : {})),
      // After an error it rolls back.
      run('COMMIT', own ? {} : { before: tidy }),
    ]
    try {
      for (const outcome of await Promise.allSettled(all)) {
        if (outcome.status === 'rejected') throw outcome.reason
      }
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

function hasValues(input: QueryInput): boolean {
  return typeof input !== 'string' && Array.isArray(input.values) && input.values.length > 0
}

/** Prepared statements do not outlive a lease, and the driver would believe they do. */
function withoutName(input: QueryInput): QueryInput {
  if (typeof input === 'string') return input
  const { name: _, ...rest } = input
  return rest
}

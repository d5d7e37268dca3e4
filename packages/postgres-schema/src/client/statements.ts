import { TenancyError } from '@tenantry/multi-tenancy/provider'
import type { QueryResult } from 'pg'
import { type Connection, readStatus } from '../connections/connection.ts'
import {
  copyTimeout,
  type Message,
  type Outcome,
  type QueryInput,
  rejectedScope,
  sendTogether,
  setPipeline,
  throwFirstError,
  toMessage,
  toText,
} from '../connections/pipeline.ts'
import { RESET_POOLED, RESET_SESSION, UNDO_POOLED } from '../connections/reset.ts'
import { beginScoped, type Scope } from '../connections/scope.ts'
import type { Pooler } from '../options.ts'
import type { LeaseStatements, ScopedRun } from './lease-statements.ts'
import { createPooledLease } from './pooled-lease.ts'
import { createSessionLease } from './session-lease.ts'
import {
  assertNoCopyFromStdin,
  assertNoSessionState,
  endsTransaction,
  opensTransaction,
} from './session-sql.ts'

/** Statements of one tenant on a leased connection. */
export interface Statements {
  /** One statement, as a transaction of its own that leaves nothing in the session. */
  single(connection: Connection, input: QueryInput): Promise<QueryResult>
  /** All statements in one transaction and one round trip; rejects with the first error. */
  batch(connection: Connection, inputs: readonly QueryInput[]): Promise<void>
  /** Statements of one holder, between `connect()` and `release()`. */
  lease(connection: Connection): LeaseStatements
}

/**
 * @param scope the tenant, where connections are shared; `undefined` where each tenant has connections of its own
 */
export function createStatements(scope: Scope | undefined, pooler: Pooler): Statements {
  const run = createScopedRun(scope, pooler)
  const pooled = pooler === 'transaction'

  function check(input: QueryInput): void {
    const text = toText(input)
    if (pooled) assertNoSessionState(text)
    assertNoCopyFromStdin(text)
  }

  function lease(connection: Connection): LeaseStatements {
    setPipeline(connection, 'on')
    return pooled && scope !== undefined
      ? createPooledLease(connection, scope, run)
      : createSessionLease(connection, scope)
  }

  return {
    async single(connection, input) {
      check(input)
      const text = toText(input)
      if (opensTransaction(text)) {
        throw new TenancyError('not_supported', 'pool.query() cannot begin a transaction; use connect()')
      }
      // A tenant's own connection takes several statements in one text, as the driver sends them.
      if (scope === undefined && !isSingle(input, text)) return lease(connection).query(input)
      setPipeline(connection, 'on')
      return run.single(connection, input)
    },
    async batch(connection, inputs) {
      for (const input of inputs) {
        check(input)
        const text = toText(input)
        if (opensTransaction(text) || endsTransaction(text)) {
          throw new TenancyError(
            'not_supported',
            'A batch is one transaction: it cannot begin or end another',
          )
        }
      }
      setPipeline(connection, 'on')
      await run.batch(connection, inputs)
    },
    lease,
  }
}

function createScopedRun(scope: Scope | undefined, pooler: Pooler): ScopedRun {
  const pooled = pooler === 'transaction'
  const end = pooled ? `${RESET_POOLED}; COMMIT` : 'COMMIT'

  const begin = (): string => (scope === undefined ? 'BEGIN' : beginScoped(scope))

  /** In a transaction: an error skips what follows, so that without its scope no statement runs. */
  async function transaction(connection: Connection, inputs: readonly QueryInput[]): Promise<Outcome[]> {
    const messages = inputs.map((input) => toMessage(input, 'single'))
    const [first] = messages
    const sent: Message[] = [copyTimeout(first, begin()), ...messages, copyTimeout(first, end)]
    const outcomes = await send(connection, sent, first)
    const [begun] = outcomes
    if (begun?.error !== undefined) throw rejectedScope(begun.error)
    throwFirstError(outcomes)
    return outcomes.slice(1, -1)
  }

  /** Sends the messages, and resets the session behind them. */
  async function send(
    connection: Connection,
    messages: readonly Message[],
    first: Message | undefined,
  ): Promise<Outcome[]> {
    connection.dirty = true
    if (pooled) {
      const outcomes = await sendTogether(connection, messages)
      // The pooler keeps the session for this client until the failed transaction ends.
      if (readStatus(connection.client) === 'E') await sendTogether(connection, [UNDO_POOLED])
      return outcomes
    }
    const outcomes = await sendTogether(connection, [...messages, copyTimeout(first, RESET_SESSION)])
    const reset = outcomes.at(-1)?.error === undefined && readStatus(connection.client) === 'I'
    if (reset) connection.dirty = false
    return outcomes.slice(0, messages.length)
  }

  return {
    async single(connection, input) {
      if (scope !== undefined) {
        const [outcome] = await transaction(connection, [input])
        return outcome?.result as QueryResult
      }
      const message = toMessage(input, 'single')
      const outcomes = await send(connection, [message], message)
      throwFirstError(outcomes)
      return outcomes[0]?.result as QueryResult
    },
    async batch(connection, inputs) {
      await transaction(connection, inputs)
    },
  }
}

/** Whether the driver sends one statement: it does with values, and a text without `;` holds no other. */
function isSingle(input: QueryInput, text: string): boolean {
  const values = typeof input === 'string' ? undefined : input.values
  return (Array.isArray(values) && values.length > 0) || !/;\s*\S/.test(text)
}

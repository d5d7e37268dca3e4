import { splitStatements, TenancyError } from '@tenantry/multi-tenancy/provider'
import type { QueryResult, Submittable } from 'pg'
import { type Connection, readStatus } from '../connections/connection.ts'
import {
  copyTimeout,
  type Message,
  type QueryInput,
  rejectedScope,
  sendTogether,
  throwFirstError,
  toMessage,
  toText,
} from '../connections/pipeline.ts'
import { RESET_POOLED, UNDO_POOLED } from '../connections/reset.ts'
import { lateScopeCheck, nameSession, type Scope, scopeSettings } from '../connections/scope.ts'
import {
  createTurns,
  failSubmitted,
  type LeaseStatements,
  type ScopedRun,
  sendSubmitted,
} from './lease-statements.ts'
import {
  assertNoCopyFromStdin,
  assertNoSessionState,
  endOfTransaction,
  opensTransaction,
  shapesTransaction,
} from './session-sql.ts'
/**
 * A lease behind a transaction pooler, where no session lasts longer than a transaction. A transaction of the holder is
 * given the tenant's scope as it begins and resets its session as it ends; any other statement is a transaction of its own.
 */
export function createPooledLease(connection: Connection, scope: Scope, run: ScopedRun): LeaseStatements {
  const { client } = connection
  const check = lateScopeCheck(scope)
  const turns = createTurns()
  /** The open transaction was not yet checked: a check takes a snapshot, after which SET TRANSACTION fails. */
  let unchecked = false

  async function begin(message: Message): Promise<QueryResult> {
    const settings = copyTimeout(message, `${scopeSettings(scope, 'LOCAL')}; ${nameSession(scope, 'LOCAL')}`)
    const [begun, scoped] = await sendTogether(connection, [message, settings])
    if (begun?.error !== undefined) throw begun.error
    if (scoped?.error !== undefined) {
      await sendTogether(connection, [UNDO_POOLED])
      throw rejectedScope(scoped.error)
    }
    unchecked = true
    return begun?.result as QueryResult
  }

  /** @returns the answer to the app's own COMMIT or ROLLBACK, whichever of the texts it is */
  async function end(message: Message, text: string, at: number): Promise<QueryResult> {
    const [outcome] = await sendTogether(connection, [copyTimeout(message, text)])
    if (outcome?.error !== undefined) throw outcome.error
    const results: unknown = outcome?.result
    return (Array.isArray(results) ? results.at(at) : results) as QueryResult
  }

  async function runInside(message: Message, text: string): Promise<QueryResult> {
    const late =
      unchecked && check !== undefined && !shapesTransaction(text) ? [copyTimeout(message, check)] : []
    const outcomes = await sendTogether(connection, [...late, message])
    if (late.length > 0) {
      unchecked = false
      if (outcomes[0]?.error !== undefined) throw rejectedScope(outcomes[0].error)
    }
    throwFirstError(outcomes)
    return outcomes.at(-1)?.result as QueryResult
  }

  async function runNext(input: QueryInput): Promise<QueryResult> {
    const text = toText(input)
    const message = toMessage(input, 'single')
    const status = readStatus(client)
    if (status === 'I') return opensTransaction(text) ? begin(message) : run.single(connection, input)
    const ending = endOfTransaction(text)
    if (ending === undefined) return runInside(message, text)
    if (ending.chain) return begin({ text: ending.text, queryMode: 'extended' })
    if (status === 'E') return end(message, UNDO_POOLED, 0)
    return end(message, `${RESET_POOLED}; ${ending.text}`, -1)
  }

  async function query(input: QueryInput): Promise<QueryResult> {
    const text = toText(input)
    assertNoSessionState(text)
    assertNoCopyFromStdin(text)
    connection.dirty = true
    return turns.take(() => runNext(input))
  }

  function submit(submitted: Submittable): void {
    const sent = turns.take(async () => {
      assertNoEnding(submitted)
      if (readStatus(client) !== 'T') {
        const message = "pooler: 'transaction' runs a cursor or stream only in an open transaction"
        throw new TenancyError('not_supported', message)
      }
      if (unchecked && check !== undefined) await runInside(check, check)
      sendSubmitted(connection, submitted)
    })
    sent.catch((error: unknown) => failSubmitted(submitted, error, connection))
  }

  return { query, submit }
}

/** A transaction ends with the reset of its session, which cannot be sent together with a cursor or stream. */
function assertNoEnding(query: object): void {
  const { text, cursor } = query as { text?: unknown; cursor?: { text?: unknown } }
  for (const statement of splitStatements(String(text ?? cursor?.text ?? ''), 'postgres')) {
    assertNoSessionState(statement)
    if (endOfTransaction(statement) === undefined) continue
    throw new TenancyError('not_supported', 'A cursor or stream cannot end the transaction')
  }
}

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
import { lateScopeCheck, nameSession, type Scope, scopeCheck, scopeSettings } from '../connections/scope.ts'
import { createTurns, failSubmitted, type LeaseStatements, sendSubmitted } from './lease-statements.ts'
import {
  assertNoCopyFromStdin,
  endOfTransaction,
  isPlainQuery,
  opensTransaction,
  shapesTransaction,
} from './session-sql.ts'

/**
 * A lease as a session: what its holder sets lasts until `release()`, as with the driver. On a shared connection the
 * session receives the tenant's scope before its first statement, in the same round trip where that is safe. Where no role
 * says that the schema is still the tenant's, each statement outside a transaction and each transaction asks again.
 */
export function createSessionLease(connection: Connection, scope: Scope | undefined): LeaseStatements {
  const { client } = connection
  const check = scope && scopeCheck(scope)
  const turns = createTurns()
  const inFlight = new Set<Promise<unknown>>()
  let ready = scope === undefined
  /** The open transaction was not yet checked: a check takes a snapshot, after which SET TRANSACTION fails. */
  let unchecked = false

  /** What has to come before a statement outside a transaction. */
  function opening(): string | undefined {
    return ready || scope === undefined ? check : scopeSession(scope)
  }

  function send(message: Message): Promise<QueryResult> {
    connection.pending++
    const answer = client.query(message as string).finally(() => {
      connection.pending--
      inFlight.delete(answer)
    })
    inFlight.add(answer)
    return answer
  }

  async function prepare(message: Message): Promise<void> {
    const [outcome] = await sendTogether(connection, [message])
    if (outcome?.error !== undefined) throw rejectedScope(outcome.error)
    ready = true
  }

  /** In a transaction, so that the statement does not run without what comes before it. */
  async function runPlain(message: Message, before: string): Promise<QueryResult> {
    const messages = [copyTimeout(message, `BEGIN; ${before}`), message, copyTimeout(message, 'COMMIT')]
    const outcomes = await sendTogether(connection, messages)
    if (outcomes[0]?.error !== undefined) throw rejectedScope(outcomes[0].error)
    // An error takes the settings of the session back.
    throwFirstError(outcomes)
    ready = true
    return outcomes[1]?.result as QueryResult
  }

  async function begin(message: Message, before: string): Promise<QueryResult> {
    const [settings, begun] = await sendTogether(connection, [copyTimeout(message, before), message])
    if (settings?.error !== undefined) {
      if (readStatus(client) === 'T') await sendTogether(connection, ['ROLLBACK'])
      throw rejectedScope(settings.error)
    }
    ready = true
    unchecked = check !== undefined
    if (begun?.error !== undefined) throw begun.error
    return begun?.result as QueryResult
  }

  /** Checks the transaction, together with its first statement if there is one. */
  async function runChecked(messages: readonly Message[]): Promise<QueryResult> {
    unchecked = false
    const late = (scope && lateScopeCheck(scope)) ?? ''
    const outcomes = await sendTogether(connection, [copyTimeout(messages[0], late), ...messages])
    if (outcomes[0]?.error !== undefined) throw rejectedScope(outcomes[0].error)
    throwFirstError(outcomes)
    return outcomes.at(-1)?.result as QueryResult
  }

  async function run(message: Message, text: string): Promise<QueryResult> {
    if (readStatus(client) !== 'I') {
      if (endOfTransaction(text)?.chain) unchecked = check !== undefined
      else if (unchecked && !shapesTransaction(text)) return runChecked([message])
      return send(message)
    }
    const before = opening()
    if (before === undefined) return send(message)
    // A late cancel request could end BEGIN, and the statement behind it would run without the scope: see control-client.ts.
    if (isPlainQuery(text) && !connection.cancelRequested) return runPlain(message, before)
    if (opensTransaction(text)) return begin(message, before)
    await prepare(copyTimeout(message, before))
    return send(message)
  }

  async function query(input: QueryInput): Promise<QueryResult> {
    const text = toText(input)
    assertNoCopyFromStdin(text)
    const message = toMessage(input, scope === undefined ? 'any' : 'single')
    connection.dirty = true
    if (ready && check === undefined && turns.idle) return send(message)
    return turns.take(() => run(message, text))
  }

  function submit(submitted: Submittable): void {
    const sent = turns.take(async () => {
      const before = readStatus(client) === 'I' ? opening() : undefined
      if (before !== undefined) await prepare(before)
      if (unchecked) await runChecked([])
      await Promise.allSettled(inFlight)
      sendSubmitted(connection, submitted)
    })
    sent.catch((error: unknown) => failSubmitted(submitted, error, connection))
  }

  return { query, submit }
}

/** SQL that gives a session the tenant's scope, and checks that the tenant may be served. */
function scopeSession(scope: Scope): string {
  const settings = [nameSession(scope, 'SESSION'), scopeSettings(scope, 'SESSION'), scopeCheck(scope)]
  return settings.filter(Boolean).join('; ')
}

import type { QueryResult } from 'pg'
import type { Connection } from './connection.ts'

/** What a statement may be: a text, or what `client.query()` takes. */
export type QueryInput =
  | string
  | { readonly text?: string; readonly values?: unknown[]; readonly [option: string]: unknown }

/** One message as the driver takes it. */
export type Message = string | { readonly text: string; readonly [option: string]: unknown }

/** How one message of a pipeline ended. */
export interface Outcome {
  readonly error?: unknown
  readonly result?: QueryResult
}

/** The error of a statement whose scope was rejected: it did not run. The cause says why. */
export class ScopeRejectedError extends Error {
  override readonly name = 'ScopeRejectedError'
}

/** The error of a statement that did not run, because its transaction or session could not get the tenant's scope. */
export function rejectedScope(cause: unknown): unknown {
  return new ScopeRejectedError((cause as Error).message, { cause })
}

export function toText(input: QueryInput): string {
  return typeof input === 'string' ? input : String(input.text ?? '')
}

/**
 * The message for a statement of the app. The driver is not given the statement's name, because prepared statements
 * do not outlive a lease and the driver would not notice, nor `rows`, because reading by pages needs a cursor.
 *
 * @param mode with `single` the server rejects a text of several statements
 */
export function toMessage(input: QueryInput, mode: 'single' | 'any'): Message {
  const single = mode === 'single'
  if (typeof input === 'string') return single ? { text: input, queryMode: 'extended' } : input
  const { text = '', values, rowMode, types, binary, query_timeout } = input
  return {
    text,
    ...(values !== undefined && { values }),
    ...(rowMode !== undefined && { rowMode }),
    ...(types !== undefined && { types }),
    ...(binary !== undefined && { binary }),
    ...(query_timeout !== undefined && { query_timeout }),
    ...(single && { queryMode: 'extended' }),
  }
}

/** A message of ours that waits as long as the statement it accompanies: the driver closes what times out. */
export function copyTimeout(message: Message | undefined, text: string): Message {
  if (typeof message !== 'object' || message.query_timeout === undefined) return text
  return { text, query_timeout: message.query_timeout }
}

/**
 * Sends the messages together, where the driver's pipeline mode is on, and waits for all of them. Each message ends on
 * its own, so an error stops those behind it only inside a transaction block.
 */
export function sendTogether(connection: Connection, messages: readonly Message[]): Promise<Outcome[]> {
  const { client } = connection
  const firstAnswer = Promise.withResolvers<void>()
  connection.scopeAnswer = firstAnswer.promise
  return new Promise((resolve) => {
    const outcomes: Outcome[] = []
    let pending = messages.length
    connection.pending++
    const { stream } = client.connection
    // One write for all messages: each write costs as much as a short statement.
    stream.cork?.()
    try {
      for (const [at, message] of messages.entries()) {
        const complete = (error: unknown, result: QueryResult): void => {
          // The driver calls back twice for a value that it cannot send.
          if (outcomes[at] !== undefined) return
          outcomes[at] = error ? { error } : { result }
          if (at === 0) firstAnswer.resolve()
          if (--pending > 0) return
          connection.pending--
          resolve(outcomes)
        }
        void client.query(message as string, complete)
      }
    } finally {
      stream.uncork?.()
    }
  })
}

/**
 * Chooses the driver's mode for the next message. Cursors need the mode without a pipeline.
 *
 * Only between statements: the driver does not expect the mode to change while it waits for an answer.
 */
export function setPipeline({ client }: Connection, state: 'on' | 'off'): void {
  const mode: { pipeline: boolean } = client
  const pipeline = state === 'on'
  if (mode.pipeline !== pipeline) mode.pipeline = pipeline
}

/** @throws the first error */
export function throwFirstError(outcomes: readonly Outcome[]): void {
  const failed = outcomes.find(({ error }) => error !== undefined)
  if (failed !== undefined) throw failed.error
}

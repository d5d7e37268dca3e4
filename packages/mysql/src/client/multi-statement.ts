import { type Lease, type Statement, splitStatements, TenancyError } from '@tenantry/multi-tenancy'
import type { Connection, Row } from '../connections/connection.ts'
import {
  accompanyNext,
  type Company,
  commandMessage,
  type Internals,
  lostConnection,
} from '../connections/messages.ts'
import { type Trace, traceOf, worse } from '../connections/session-taint.ts'
import { STRICT_SESSION } from '../connections/sql-mode.ts'
import { isNumber, leavesNoDoubt } from '../errors.ts'

/** `COM_SET_OPTION`: several statements in one message are taken, or are not. */
const SEVERAL = commandMessage(0x1b, 0, 0)
const ONE = commandMessage(0x1b, 1, 0)
/** Characters of one message: servers take 1 MB at least, and a character may be four bytes. */
const LENGTH = 100_000
/** No such syntax. */
const SYNTAX = 1064

/**
 * What the core writes down about a database. Where such statements follow each other they are one transaction, for
 * the time that each commit takes; never with another's statement, which may be of tables that know none.
 */
const BOOKKEEPING = /^(?:INSERT(?: IGNORE)? INTO|UPDATE) tenantry_\w+\s/

/** The server does not take several statements in one message; nothing was done. */
export class OneByOne extends Error {}

/** Whose connection, and what becomes of it. */
export interface TogetherOptions {
  readonly tell: (error: unknown) => unknown
  /** What our own settings are to count as once all is done. */
  readonly leftover: Trace
}

/**
 * Runs the core's statements in order, in a session in which its fences hold, and gives the lease back. They go in one
 * message between two that allow several statements and forbid them again: what a tenant sends never meets a
 * connection that takes several.
 *
 * @returns the rows of the last
 * @throws what the server says of the first that it refuses, with those before it done; `OneByOne`
 */
export async function runTogether(
  held: Lease<Connection>,
  statements: readonly Statement[],
  { tell, leftover }: TogetherOptions,
): Promise<Row[]> {
  const { connection } = held
  const { client } = connection
  try {
    const texts = statements.map(({ sql, params = [] }) => client.format(sql, [...params]))
    const messages = messagesOf(texts)
    if ((client as unknown as Internals).config.compress) throw new OneByOne()
    // Until it is known how it ended: a transaction may be open.
    connection.trace = worse(connection.trace, 'session')
    for (const sql of texts) connection.trace = worse(connection.trace, traceOf(sql))
    let rows: Row[] = []
    for (const message of messages) rows = await send(connection, message)
    if (texts.every((sql) => traceOf(sql) === 'plain')) connection.trace = leftover
    held.release()
    return rows
  } catch (error) {
    if (error instanceof OneByOne || leavesNoDoubt(error)) held.release()
    else held.destroy()
    throw error instanceof OneByOne ? error : tell(error)
  }
}

/** @throws `OneByOne` where what is one statement to us might be several, or less than one, to the server */
function messagesOf(texts: readonly string[]): string[] {
  const messages: string[][] = []
  let room = 0
  for (const unit of unitsOf(texts)) {
    const length = unit.join().length
    room -= length
    if (room < 0) {
      messages.push([STRICT_SESSION])
      room = LENGTH - length
    }
    messages.at(-1)?.push(...unit)
  }
  return messages.map((parts) => {
    const whole = parts.join('\n;')
    const read = splitStatements(whole, 'mysql')
    if (read.length !== parts.length || read.some((text, at) => text !== parts[at]?.trim()))
      throw new OneByOne()
    return whole
  })
}

/**
 * What one message holds as a whole: a statement, or a transaction. So no transaction ever waits for its client, which
 * may stand still for as long as it likes, with what the transaction has locked.
 */
function unitsOf(texts: readonly string[]): string[][] {
  const units: string[][] = []
  let run: string[] | undefined
  for (const text of texts) {
    if (run !== undefined && BOOKKEEPING.test(text)) run.push(text)
    else {
      run = BOOKKEEPING.test(text) ? [text] : undefined
      units.push(run ?? [text])
    }
  }
  return units.map((unit) => (unit.length > 1 ? ['BEGIN', ...unit, 'COMMIT'] : unit))
}

/** The rows of the last of the statements in the text, once the server takes but one again. */
function send(connection: Connection, text: string): Promise<Row[]> {
  const { client, next } = connection
  return new Promise((resolve, reject) => {
    let answer: { error: unknown; results: unknown } | undefined
    let refused = false
    const settle = (): void => {
      connection.holder = undefined
      const { error, results } = answer ?? {}
      if (error) reject(refused && isNumber(error, SYNTAX) ? new OneByOne() : error)
      const last: unknown = Array.isArray(results) ? results.at(-1) : undefined
      resolve(Array.isArray(last) ? last : [])
    }
    connection.holder = {
      onEnd() {
        connection.holder = undefined
        reject(new TenancyError('provider_unavailable', 'The database connection ended', { retryAfter: 1 }))
      },
      onError() {},
    }
    const company: Company = {
      before: [SEVERAL],
      after: [ONE],
      onRefused(error, after) {
        // Where it never took several there is nothing to forbid, and the text was not taken either.
        if (!after) refused = true
        else if (!refused) throw lostConnection('it goes on taking several statements', error)
      },
      // The driver tells of the answer a moment later.
      onDone: () => process.nextTick(settle),
    }
    accompanyNext(client as unknown as Internals, company, next)
    client.query(text, [], (error: unknown, results: unknown) => {
      // Told of the connection, it holds whatever the statements came to.
      const fatal = (error as { fatal?: boolean } | null)?.fatal === true
      if (answer === undefined || fatal) answer = { error, results }
      if (fatal) settle()
    })
  })
}

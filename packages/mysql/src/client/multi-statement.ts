import { type Lease, type Statement, splitStatements } from '@tenantry/multi-tenancy/provider'
import type { Connection } from '../connections/connection.ts'
import { type Row, rejectOnAbort, runStatement } from '../connections/run-statement.ts'
import { classifyTaint, maxTaint } from '../connections/session-taint.ts'
import { STRICT_SESSION } from '../connections/sql-mode.ts'
import { leavesNoDoubt } from '../errors.ts'

/** Characters of one message: servers accept 1 MB at least, and a character may take four bytes. */
const MESSAGE_LENGTH = 100_000

/**
 * The core's records about a database. Where such statements follow each other they are one transaction, which saves the
 * time of each commit. A statement of the app never joins it: its tables may have no transactions.
 */
const RECORD = /^(?:INSERT(?: IGNORE)? INTO|UPDATE) tenantry_\w+\s/

/** The statements cannot be sent in one message. None of them has run. */
export class MultiStatementUnsupported extends Error {}

/**
 * Runs the core's statements in order on a batch connection, and gives the lease back. As many statements as fit go in
 * one message, after one that turns the session strict.
 *
 * @returns the rows of the last
 * @throws what the server says of the first that it refuses, with those before it done; `MultiStatementUnsupported`
 */
export async function runMultiStatement(
  lease: Lease<Connection>,
  statements: readonly Statement[],
): Promise<Row[]> {
  const { connection } = lease
  const { driver } = connection
  try {
    const texts = statements.map(({ sql, params = [] }) => driver.format(sql, [...params]))
    const messages = buildMessages(texts)
    if (!connection.acceptsSeveral) throw new MultiStatementUnsupported()
    for (const sql of texts) connection.taint = maxTaint(connection.taint, classifyTaint(sql))
    const taint = maxTaint(connection.taint, 'plain')
    // While the result is unknown, a transaction may be open.
    connection.taint = maxTaint(taint, 'session')
    let rows: Row[] = []
    for (const message of messages)
      rows = await rejectOnAbort(connection.ended.signal, runStatement(driver, message))
    connection.taint = taint
    lease.release()
    return rows
  } catch (error) {
    if (error instanceof MultiStatementUnsupported || leavesNoDoubt(error)) lease.release()
    else {
      connection.isAbandoned = true
      lease.destroy()
    }
    throw error
  }
}

/** @throws `MultiStatementUnsupported` where the server might read the statements of a message in another way than we do */
function buildMessages(texts: readonly string[]): string[] {
  const messages: string[][] = []
  let room = 0
  for (const group of groupRecords(texts)) {
    const length = group.join().length
    room -= length
    if (room < 0) {
      messages.push([STRICT_SESSION])
      room = MESSAGE_LENGTH - length
    }
    messages.at(-1)?.push(...group)
  }
  return messages.map((parts) => {
    const message = parts.join('\n;')
    const split = splitStatements(message, 'mysql')
    if (split.length !== parts.length || split.some((text, at) => text !== parts[at]?.trim()))
      throw new MultiStatementUnsupported()
    return message
  })
}

/**
 * Groups what one message must hold as a whole: a statement, or a transaction of records. So no transaction waits for
 * its client, which may stop at any time, with its locks held.
 */
function groupRecords(texts: readonly string[]): string[][] {
  const groups: string[][] = []
  let records: string[] | undefined
  for (const text of texts) {
    const isRecord = RECORD.test(text)
    if (isRecord && records !== undefined) records.push(text)
    else {
      records = isRecord ? [text] : undefined
      groups.push(records ?? [text])
    }
  }
  return groups.map((group) => (group.length > 1 ? ['BEGIN', ...group, 'COMMIT'] : group))
}

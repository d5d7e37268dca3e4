import type { Connection as DriverConnection, QueryValues } from 'mysql2'

export type Row = Record<string, unknown>

/** Rows as objects by column name, independent of the options for queries of the app. */
const SHAPE = { rowsAsArray: false, nestTables: false, namedPlaceholders: false, typeCast: true } as const

/** The rows of one statement of our own; of several in one text, the rows of the last. */
export function runStatement(
  connection: DriverConnection,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  return new Promise((resolve, reject) => {
    connection.query(
      { sql, values: [...values] as QueryValues, ...SHAPE },
      (error: unknown, results: unknown) => {
        if (error) reject(error)
        else resolve(toRows(results))
      },
    )
  })
}

function toRows(results: unknown): Row[] {
  if (!Array.isArray(results)) return []
  const last: Row | Row[] | undefined = results.at(-1)
  // The result of several statements is a list, in which a write is not a list of rows.
  if (Array.isArray(last)) return last
  return last !== undefined && 'affectedRows' in last ? [] : results
}

/**
 * Settles as `work` does, or rejects with the signal's reason: the driver never settles what runs on a connection that
 * is destroyed.
 */
export async function rejectOnAbort<Value>(signal: AbortSignal, work: Promise<Value>): Promise<Value> {
  let stop: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
  work.catch(() => {})
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (stop) signal.removeEventListener('abort', stop)
  }
}

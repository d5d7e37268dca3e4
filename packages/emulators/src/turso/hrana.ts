/** A value as SQLite stores it. Integers beyond 2^53 - 1 are `bigint`. */
export type SqlValue = null | number | bigint | string | Uint8Array

/** A row by column name. */
export type SqlRow = Record<string, SqlValue>

type HranaValue =
  | { type: 'null' }
  | { type: 'integer'; value: string }
  | { type: 'float'; value: number }
  | { type: 'text'; value: string }
  | { type: 'blob'; base64: string }

interface ExecuteResult {
  cols: { name: string | null }[]
  rows: HranaValue[][]
}

type StreamResult =
  | { type: 'ok'; response: { result?: ExecuteResult } }
  | { type: 'error'; error: { message: string; code?: string } }

/**
 * The body of a pipeline request that runs one statement in a connection of its own.
 *
 * @see https://github.com/tursodatabase/libsql/blob/main/docs/HRANA_3_SPEC.md
 */
export function executeRequest(sql: string, args: readonly SqlValue[]): string {
  const stmt = { sql, args: args.map(encode), want_rows: true }
  return JSON.stringify({ requests: [{ type: 'execute', stmt }, { type: 'close' }] })
}

/**
 * The rows of a pipeline answer to {@link executeRequest}.
 *
 * @throws Error with the `code` and message of SQLite
 */
export function readRows(body: string): SqlRow[] {
  const { results } = JSON.parse(body) as { results: StreamResult[] }
  const [first] = results
  if (first === undefined) throw new Error('sqld answered nothing')
  if (first.type === 'error') throw Object.assign(new Error(first.error.message), { code: first.error.code })
  const { cols = [], rows = [] } = first.response.result ?? {}
  return rows.map((row) =>
    Object.fromEntries(row.map((value, index) => [cols[index]?.name ?? String(index), decode(value)])),
  )
}

function encode(value: SqlValue): HranaValue {
  if (value === null) return { type: 'null' }
  if (typeof value === 'string') return { type: 'text', value }
  if (typeof value === 'bigint' || Number.isSafeInteger(value))
    return { type: 'integer', value: String(value) }
  if (typeof value === 'number') return { type: 'float', value }
  return { type: 'blob', base64: Buffer.from(value).toString('base64') }
}

function decode(value: HranaValue): SqlValue {
  switch (value.type) {
    case 'null':
      return null
    case 'integer':
      return Number.isSafeInteger(Number(value.value)) ? Number(value.value) : BigInt(value.value)
    case 'blob':
      return new Uint8Array(Buffer.from(value.base64, 'base64'))
    default:
      return value.value
  }
}

/** What D1 tells about a statement it ran. */
export interface D1Meta extends Record<string, unknown> {
  /** Milliseconds. */
  duration: number
  /** Bytes. */
  size_after: number
  rows_read: number
  rows_written: number
  last_row_id: number
  changed_db: boolean
  changes: number
}

/** The answer to one statement. */
export interface D1Result<Row = unknown> {
  success: true
  meta: D1Meta
  results: Row[]
  error?: never
}

/** A statement, bound or not; immutable. */
export interface D1PreparedStatement {
  bind(...values: unknown[]): D1PreparedStatement
  first<Value = unknown>(column: string): Promise<Value | null>
  first<Row = Record<string, unknown>>(): Promise<Row | null>
  run<Row = Record<string, unknown>>(): Promise<D1Result<Row>>
  all<Row = Record<string, unknown>>(): Promise<D1Result<Row>>
  raw<Row = unknown[]>(options: { columnNames: true }): Promise<[string[], ...Row[]]>
  raw<Row = unknown[]>(options?: { columnNames?: false }): Promise<Row[]>
}

/** A database as of some moment: reads see at least what its bookmark has. */
export interface D1DatabaseSession {
  prepare(query: string): D1PreparedStatement
  batch<Row = unknown>(statements: D1PreparedStatement[]): Promise<D1Result<Row>[]>
  /** The newest bookmark seen, or `null` before the first query. */
  getBookmark(): string | null
}

/**
 * A D1 database as a Worker's binding has it: what `D1Database` of `@cloudflare/workers-types` says, so that code
 * written for a binding takes it, on every rung of the ladder.
 *
 * @see https://developers.cloudflare.com/d1/worker-api/d1-database/
 */
export interface D1Database {
  prepare(query: string): D1PreparedStatement
  /** Runs the statements in order as one transaction. */
  batch<Row = unknown>(statements: D1PreparedStatement[]): Promise<D1Result<Row>[]>
  /** Runs SQL text of several statements, without parameters. */
  exec(query: string): Promise<{ count: number; duration: number }>
  /** @throws `not_supported` over REST, which has no sessions */
  withSession(constraintOrBookmark?: string): D1DatabaseSession
  /** @throws `not_supported`, but for a binding to one of D1's first databases */
  dump(): Promise<ArrayBuffer>
}

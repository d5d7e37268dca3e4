/** D1's figures about a statement that it ran. */
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

/** The result of one statement. */
export interface D1Result<Row = unknown> {
  success: true
  meta: D1Meta
  results: Row[]
  error?: never
}

/** An immutable statement, with or without bound values. */
export interface D1PreparedStatement {
  bind(...values: unknown[]): D1PreparedStatement
  first<Value = unknown>(column: string): Promise<Value | null>
  first<Row = Record<string, unknown>>(): Promise<Row | null>
  run<Row = Record<string, unknown>>(): Promise<D1Result<Row>>
  all<Row = Record<string, unknown>>(): Promise<D1Result<Row>>
  raw<Row = unknown[]>(options: { columnNames: true }): Promise<[string[], ...Row[]]>
  raw<Row = unknown[]>(options?: { columnNames?: false }): Promise<Row[]>
}

/** A sequence of queries in which each read sees at least the data of the session's bookmark. */
export interface D1DatabaseSession {
  prepare(query: string): D1PreparedStatement
  batch<Row = unknown>(statements: D1PreparedStatement[]): Promise<D1Result<Row>[]>
  /** The newest bookmark that the session received, or `null` before its first query. */
  getBookmark(): string | null
}

/**
 * A D1 database with the interface of a Worker's binding (`D1Database` of `@cloudflare/workers-types`), so code written
 * for a binding runs with every access method.
 *
 * @see https://developers.cloudflare.com/d1/worker-api/d1-database/
 */
export interface D1Database {
  prepare(query: string): D1PreparedStatement
  /** Runs the statements in order as one transaction. */
  batch<Row = unknown>(statements: D1PreparedStatement[]): Promise<D1Result<Row>[]>
  /** Runs each line of `query` as a statement, without parameters, in one transaction. */
  exec(query: string): Promise<{ count: number; duration: number }>
  /** @throws `not_supported` over REST, which has no sessions */
  withSession(constraintOrBookmark?: string): D1DatabaseSession
  /** @throws `not_supported`, except through a binding of one of D1's oldest databases */
  dump(): Promise<ArrayBuffer>
}

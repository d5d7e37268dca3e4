// Types only: a value that the emulator shared with the Worker would become a second file of the built Worker.

/** Why there is no outcome. */
export interface WireProblem {
  readonly ok: false
  readonly error: string
  /** There is no such database. */
  readonly missing?: boolean | undefined
}

/** A cell as JSON carries it; bytes are a list of numbers, as in D1's own protocol. */
export type WireCell = string | number | boolean | null | number[]

/** One statement to run. */
export interface WireStatement {
  readonly sql: string
  readonly params?: readonly WireCell[] | null | undefined
}

/** The effects of a statement. */
export interface WireMeta {
  readonly duration: number
  readonly changes: number
  readonly last_row_id: number
  readonly changed_db: boolean
  readonly size_after: number
  readonly rows_read: number
  readonly rows_written: number
}

/** The outcome of one statement. */
export interface WireResult {
  readonly columns: string[]
  readonly rows: WireCell[][]
  readonly meta: WireMeta
}

/** The outcome of a batch, which is one transaction. */
export type WireRun =
  | { readonly ok: true; readonly results: WireResult[]; readonly bookmark: string }
  | WireProblem

/** The outcome of a travel in time, or why there was none. */
export type WireTravel =
  | { readonly ok: true; readonly bookmark: string; readonly previous: string }
  | WireProblem

/** A point in time: a bookmark, or milliseconds since the epoch; neither is now. */
export interface WireMoment {
  readonly bookmark?: string | undefined
  readonly timestamp?: number | undefined
}

/** What an export leaves out, and the tables it is about. */
export interface WireDumpOptions {
  readonly noSchema: boolean
  readonly noData: boolean
  readonly tables: readonly string[]
}

/** A Worker of a dispatch namespace as the loader takes it. */
export interface WireScript {
  readonly compatibilityDate: string
  readonly compatibilityFlags: readonly string[]
  readonly mainModule: string
  readonly modules: Readonly<
    Record<string, { readonly js?: string; readonly text?: string; readonly json?: unknown }>
  >
  /** Plain values of its `env`. */
  readonly env: Readonly<Record<string, unknown>>
  /** Binding name to database uuid. */
  readonly databases: Readonly<Record<string, string>>
}

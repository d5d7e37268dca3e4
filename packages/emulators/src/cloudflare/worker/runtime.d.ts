// What the emulator's Worker uses of its runtime. The runtime's own types cannot stand beside Node's, which the
// rest of this package is written against.
declare module 'cloudflare:workers' {
  export abstract class DurableObject<Env> {
    protected readonly ctx: DurableObjectContext
    protected readonly env: Env
  }
  export abstract class WorkerEntrypoint<Env, Props> {
    protected readonly ctx: { readonly props: Props }
    protected readonly env: Env
  }

  /** A cell as SQLite's storage returns it. */
  export type SqlCell = string | number | null | ArrayBuffer

  export interface SqlCursor {
    readonly columnNames: string[]
    readonly rowsRead: number
    readonly rowsWritten: number
    raw(): Iterable<SqlCell[]>
  }

  export interface DurableObjectContext {
    readonly storage: {
      readonly sql: {
        readonly databaseSize: number
        exec(sql: string, ...bindings: unknown[]): SqlCursor
      }
      readonly kv: {
        get<T>(key: string): T | undefined
        put(key: string, value: unknown): void
        delete(key: string): boolean
      }
      transactionSync<T>(work: () => T): T
      deleteAll(): Promise<void>
    }
  }
}

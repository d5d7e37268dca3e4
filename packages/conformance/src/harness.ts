import type { Row, TenantProvider } from '@tenantry/multi-tenancy/provider'

/**
 * Reads the databases *around* the provider, through the driver or the files, and shares no code with the provider.
 * The cases compare the provider with the oracle. SQL is in the provider's dialect and has no parameters.
 */
export interface Oracle {
  /** The physical names that exist and start with `prefix`, in any order. */
  listDatabases(prefix: string): Promise<string[]>
  /** The rows of one statement in the database of that name. */
  query(name: string, sql: string): Promise<Row[]>
  /** Runs one statement in the database of that name. */
  execute(name: string, sql: string): Promise<void>
}

/** What the author of a provider gives the kit. Each case asks for a new harness and cleans it up. */
export interface Harness<Client = any> {
  readonly provider: TenantProvider<Client>
  /** Creates a further provider over the same service, as another process would. The kit closes it. */
  createProvider(): TenantProvider<Client>
  readonly oracle: Oracle
  /** Called after the kit has closed the providers and dropped the databases of the case. */
  cleanup(): Promise<void>
  /**
   * Counts the physical connections that are open, to one database or in all: by the server's own list, where there
   * is one. The cases on connections are skipped without it.
   */
  countConnections?(name?: string): Promise<number>
  /**
   * The most that `countConnections()` may return, by the options of the harness's provider.
   *
   * @default 50
   */
  readonly connectionLimit?: number
  /** A number of databases that fills more than one page of `list`. @default 12 */
  readonly multiPageCount?: number
  /** Returns in which of the provider's `placements` a database is. */
  findPlacement?(name: string): Promise<string>
  /** Tokens, passwords and connection strings that no error may show. */
  readonly secrets?: readonly string[]
  /** More SQL with which one tenant tries to reach another tenant's database; each list runs on one connection. */
  hostileSql?(victim: string, own: string): readonly (readonly string[])[]
  /**
   * The reason why the provider does not stop SQL that names another tenant's tables, such as a role that all tenants
   * share. It is printed, and the case of hostile SQL is skipped.
   */
  readonly withoutSqlIsolation?: string
  /**
   * The reason why the service returns integers beyond 2^53 rounded, such as a JSON protocol without large integers. It
   * is printed, and the case of large integers is skipped.
   */
  readonly roundsIntegers?: string
}

/** Creates a harness. Harnesses may share a server that is slow to start. */
export type CreateHarness<Client = any> = () => Harness<Client> | Promise<Harness<Client>>

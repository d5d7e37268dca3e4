import type { Row, TenantProvider } from '@tenantry/multi-tenancy'

/**
 * Looks at the databases *around* the provider: with the driver or the files themselves, sharing no code with it.
 * What it says is the truth the cases compare with. SQL comes without parameters, in the provider's dialect.
 */
export interface Oracle {
  /** The physical names that exist and start with `prefix`, in any order. */
  databases(prefix: string): Promise<string[]>
  /** The rows of one statement inside the database of that name. */
  query(name: string, sql: string): Promise<Row[]>
  /** Runs one statement inside the database of that name. */
  execute(name: string, sql: string): Promise<void>
}

/** What a provider's author gives the kit; each case asks for a new one and cleans it up. */
export interface Harness<Client = any> {
  readonly provider: TenantProvider<Client>
  /** A further provider over the same service, as another process would have. The kit closes it. */
  another(): TenantProvider<Client>
  readonly oracle: Oracle
  /** Called after the kit has closed the providers and dropped what it made. */
  cleanup(): Promise<void>
  /** Physical connections open now, to one database or in all, by the server's own count if it has one. */
  openConnections?(name?: string): Promise<number>
  /**
   * The most `openConnections()` may ever say: what this harness configured its provider with.
   *
   * @default 50
   */
  readonly connectionLimit?: number
  /** A number of databases that fills more than one page of `list`. @default 12 */
  readonly manyDatabases?: number
  /** In which of the provider's `placements` a database is. */
  placementOf?(name: string): Promise<string>
  /** Tokens, passwords, connection strings: none may show in an error. */
  readonly secrets?: readonly string[]
  /** Further SQL with which one tenant may try to reach another's database, each a list run on one connection. */
  hostileSql?(victim: string, own: string): readonly (readonly string[])[]
  /**
   * Set to the reason where one tenant's SQL may by design name another's tables (all share one role):
   * the cases of hostile SQL are skipped and the reason is printed.
   */
  readonly openToSql?: string
}

/** Makes a harness of its own; a server that is slow to start may be shared between the calls. */
export type CreateHarness<Client = any> = () => Harness<Client> | Promise<Harness<Client>>

import type { Kysely } from 'kysely'
import type { TenancyError } from '../errors.ts'
import type { MigrationSql } from './migration-sql.ts'

/** What finds a tenant database again (uuid, hostname, name): JSON, stored as returned, never rebuilt from text. */
export type Locator = { readonly [key: string]: string | number | boolean | null }

/** A value every database can bind. */
export type SqlValue = string | number | bigint | boolean | Uint8Array | null
export type Row = Record<string, unknown>

/** One SQL statement, with `?` (or the dialect's `$1`) placeholders for `params`. */
export interface Statement {
  readonly sql: string
  readonly params?: readonly SqlValue[]
}

/** Facts about a kind of database. The core branches on these and never on a provider's name. */
export interface Capabilities {
  /** Which SQL the core speaks for its own tables. */
  readonly dialect: 'sqlite' | 'postgres' | 'mysql'
  /** `kysely(client).transaction()` works: statements, reads between them, then commit or rollback. */
  readonly transactions: boolean
  /** DDL in a transaction or batch is undone with it. Without it migrations are journaled per statement. */
  readonly transactionalDdl: boolean
}

/** Which physical names the service takes: `a-z`, `0-9` and the separator, up to `maxLength` characters. */
export interface Naming {
  readonly maxLength: number
  /** The only punctuation to use: `_` (then `-` is allowed too), or `-` where underscores are refused. */
  readonly separator: '_' | '-'
}

/** What a call may be asked to honour. */
export interface CallOptions {
  /** Aborted when the core stops waiting. Pass it to `fetch` or the driver where that is possible. */
  readonly signal: AbortSignal
  /** For `create`: where to make the database, one of the provider's `placements`. */
  readonly placement?: string | undefined
}

/** The tenant database a client is bound to. */
export interface ConnectTarget {
  readonly locator: Locator
  /** `serve` for an app's requests; `manage` for stamping, migrating, seeding and deleting. */
  readonly purpose: 'serve' | 'manage'
  /** Await this with each *physical* connection, if there are any, before its first other use; a throw: destroy it. */
  readonly verify: (query: (statement: Statement) => Promise<Row[]>) => Promise<void>
  /** Await this before each use of the client (a lease, a request): it throws once the tenant is not to be served. */
  readonly beforeUse?: () => void | Promise<void>
  /** Call it when a client in use learns that its database is gone or was recreated: cached data is dropped. */
  readonly onDatabaseGone?: () => void
}

/** A database as `list` shows it; `leftover` names the remaining part (`role`, `user`, `script`) of a database that is gone. */
export type ListedDatabase = { readonly name: string; readonly locator: Locator; readonly leftover?: string }

/**
 * What a provider author writes. `Client` is the driver's own client shape, bound to one tenant.
 * Names and ids arrive validated. Members never use `this`, may throw anything (`mapError` gives it a code),
 * and may be called again after any failure or lost reply.
 */
export interface TenantProvider<Client> {
  /** The kind of service, for messages: `turso`, `mysql`. */
  readonly name: string
  readonly capabilities: Capabilities
  /** `sqliteMigrationSql`, `postgresMigrationSql` or `mysqlMigrationSql`, as `capabilities.dialect` says. */
  readonly migrationSql: MigrationSql
  readonly naming: Naming
  /** The servers, groups or regions that `create` accepts as `placement`. Absent: there is one place only. */
  readonly placements?: readonly string[]
  /** Creates the database, or finds the one of that exact name, and says which. The core decides which tenant owns it. */
  create(name: string, options: CallOptions): Promise<{ locator: Locator; created: boolean }>
  /** The database of that exact name, or `undefined` when the service says there is none. Throws when unsure. */
  find(name: string, options: CallOptions): Promise<Locator | undefined>
  /** Ends its connections, revokes its credentials, deletes it; resolves when it is gone. Absent: succeeds. */
  drop(locator: Locator, options: CallOptions): Promise<void>
  /** Closes a database in every process (credentials void, clients get `tenant_suspended`), or opens it; data stays. */
  setAccess?(locator: Locator, access: 'open' | 'closed', options: CallOptions): Promise<void>
  /** One page of the databases whose name starts with `prefix`; `cursor` is absent on the last page. */
  list(
    query: { prefix: string; cursor?: string | undefined },
    options: CallOptions,
  ): Promise<{ databases: readonly ListedDatabase[]; cursor?: string }>
  /** A client bound to exactly this database. Never creates, never falls back; missing throws. */
  connect(target: ConnectTarget, options: CallOptions): Promise<Client>
  /** The rows of one statement. */
  query(client: Client, statement: Statement): Promise<Row[]>
  /** Runs statements in order, stopping at the first error; atomic where `transactionalDdl` says so. */
  batch(client: Client, statements: readonly Statement[]): Promise<void>
  /**
   * `batch` with foreign keys not enforced, in one transaction; they are enforced again afterwards in any case. For
   * migrations with `PRAGMA foreign_keys = OFF`, which are refused where this is absent.
   */
  batchWithoutForeignKeys?(client: Client, statements: readonly Statement[]): Promise<void>
  /** Waited for before pending migrations change a database that has had some: to keep a way back, where there is one. */
  beforeMigrate?(client: Client, migrations: readonly string[]): Promise<void>
  /** Kysely over the client: for migrations, and the adapters' `db` when the app builds none of its own. */
  kysely(client: Client): Kysely<any>
  /** The coded error for an error of a member, or of a client in use. Leaves a `TenancyError` as it is. */
  mapError(cause: unknown): TenancyError
  /** What of the service's limits and settings does not fit so many tenants, in sentences. */
  diagnose?(fleet: { tenants: number }, options: CallOptions): Promise<readonly string[]>
  /** Closes every connection of every tenant. Safe to call twice. */
  close(): Promise<void>
}

export type Dialect = Capabilities['dialect']

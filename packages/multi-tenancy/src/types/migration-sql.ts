import type { Kysely } from 'kysely'

/**
 * What a statement shares with the next one: `transaction` the transaction and its connection, `session` the connection,
 * `nothing` neither.
 */
export type StatementScope = 'transaction' | 'session' | 'nothing'

/** The statements of one `.sql` migration, and what they demand of the runner. */
export interface MigrationStatements {
  readonly statements: readonly string[]
  /** Foreign keys have to be off while it runs. */
  readonly foreignKeysOff: boolean
  /** The indexes of the statements that have an effect on later ones: a migration that has any runs in a batch of its own. */
  readonly settings: readonly number[]
}

/** A migration of `.sql` text that is about to run. */
export interface PendingStatements {
  readonly name: string
  readonly statements?: readonly string[] | undefined
  readonly foreignKeysOff: boolean
}

/** Foreign keys where rebuilding a table deletes rows of the tables that reference it. */
export interface MigrationForeignKeys {
  /** Fails, with the row in its message, when a row references one that is not there. */
  readonly check: { readonly sql: string }
  /** What `check` reports in a message; `undefined` when the message is of another failure. */
  findViolation(message: string): string | undefined
  /** Reads the tables of the database, as `checkRebuilds` takes them. */
  readonly readTables: { readonly sql: string }
  /**
   * Refuses migrations that would delete rows of a table because they rebuild the table those rows reference.
   *
   * @param readTables the rows of the statement `readTables`; called only where a table is dropped
   * @throws `not_supported` where foreign keys would have to be off and cannot be, `config_invalid` where the migration
   * does not turn them off
   */
  checkRebuilds(
    pending: readonly PendingStatements[],
    canTurnOff: boolean,
    readTables: () => Promise<readonly { readonly sql?: unknown }[]>,
  ): Promise<void>
}

/** What the runner has to know of the SQL that migrations contain. Providers take the one of their dialect. */
export interface MigrationSql {
  /** @throws `config_invalid` for a statement that cannot have its effect where it stands */
  readStatements(name: string, sql: string, scope: StatementScope): MigrationStatements
  /**
   * The database that the `up` of a Kysely migration gets.
   *
   * @param kysely the provider's
   * @param base a transaction or a connection of `kysely`
   */
  createUpDatabase(kysely: Kysely<any>, base: Kysely<any>, scope: StatementScope): Kysely<any>
  readonly foreignKeys?: MigrationForeignKeys
}

import type { Kysely } from 'kysely'
import { configError } from '../../errors.ts'
import { sha256 } from '../../util/hash.ts'

/** A migration as `.sql` text. `splitStatements` splits it into statements. */
export interface SqlMigration {
  readonly sql: string
  /** `false` runs the statements one by one, journaled, for what no transaction takes (`VACUUM`, `CREATE INDEX CONCURRENTLY`). @default true */
  readonly transaction?: boolean
}

/** A Kysely `Migration` object (a module of a glob import fits too). */
export interface KyselyMigration {
  up(db: Kysely<any>): Promise<unknown>
  /** Taken so that Kysely's own objects fit; never called. */
  down?(db: Kysely<any>): Promise<unknown>
  /**
   * Any text of 1 to 255 characters that changes when the migration does. Code has no text that survives a
   * bundler, so without it a change to an applied Kysely migration is NOT noticed.
   */
  readonly checksum?: string
  /** `false` runs `up` outside a transaction. @default true */
  readonly transaction?: boolean
}

/** One migration with its name: 1 to 255 printable ASCII characters, without spaces at the ends. */
export type TenantMigration = { readonly name: string } & (SqlMigration | KyselyMigration)

/**
 * Where migrations come from: a list in ascending order of names, a record (ordered by its keys; a string is
 * `.sql` text), or a function that gets either, such as `() => new FileMigrationProvider(…).getMigrations()`.
 */
export type MigrationSource =
  | readonly TenantMigration[]
  | MigrationRecord
  | (() => Promise<readonly TenantMigration[] | MigrationRecord>)
export type MigrationRecord = Readonly<Record<string, string | SqlMigration | KyselyMigration>>

/** One migration as the runner knows it. */
export interface LoadedMigration {
  readonly name: string
  /** SHA-256 of `.sql` text in hex, a Kysely migration's own, or `null`: then changes are not noticed. */
  readonly checksum: string | null
  readonly transaction: boolean
  /** Exactly one of `sql` (line ends are `\n`) and `up` is there. */
  readonly sql?: string
  readonly up?: (db: Kysely<any>) => Promise<unknown>
}

/** A checked set of migrations: make it once, use it for every tenant. */
export interface Migrations {
  /** The migrations in order. A source that is a function is called until it once succeeds. */
  load(): Promise<readonly LoadedMigration[]>
}

// ASCII: a file name with an accent has two spellings. No outer space: MySQL compares names without it.
const NAME = /^[!-~](?:[ -~]{0,253}[!-~])?$/

/**
 * Checks and checksums migrations. The order is that of the names, byte by byte, for every kind of source. A list must be
 * ascending already: a list in another order is nearly always a glob or a folder, read in an order that differs from
 * machine to machine.
 *
 * @throws `config_invalid` for a bad, duplicate or misplaced name and for a migration with neither `sql` nor `up`;
 * `load` throws it when the source is a function
 * @example
 * const migrations = defineMigrations({ '0001_notes': 'CREATE TABLE notes (id TEXT PRIMARY KEY)' })
 */
export function defineMigrations(source: MigrationSource): Migrations {
  const drafts = typeof source === 'function' ? undefined : parse(source)
  // Kept as a value, not as a promise: on Workers no request may wait for another's.
  let loaded: readonly LoadedMigration[] | undefined
  return {
    async load() {
      if (loaded !== undefined) return loaded
      const list = drafts ?? parse(typeof source === 'function' ? await source() : source)
      loaded = await Promise.all(
        list.map(async (draft) =>
          draft.sql === undefined ? draft : { ...draft, checksum: await sha256(draft.sql) },
        ),
      )
      return loaded
    },
  }
}

function parse(source: readonly TenantMigration[] | MigrationRecord): LoadedMigration[] {
  if (isList(source)) {
    const list = source.map((migration) => draft(migration.name, migration))
    for (const [index, { name }] of list.entries()) {
      const before = list[index - 1]?.name
      if (before !== undefined && before >= name)
        throw configError('migrations', `${name} may not come after ${before}`)
    }
    return list
  }
  return Object.keys(source)
    .sort()
    .map((name) => draft(name, source[name]))
}

// Array.isArray does not narrow a readonly array.
function isList(source: readonly TenantMigration[] | MigrationRecord): source is readonly TenantMigration[] {
  return Array.isArray(source)
}

function draft(name: unknown, value: string | SqlMigration | KyselyMigration | undefined): LoadedMigration {
  if (typeof name !== 'string' || !NAME.test(name))
    throw configError(
      'migrations',
      `a name has 1 to 255 printable ASCII characters, not ${JSON.stringify(name)}`,
    )
  const { sql, up, checksum, transaction }: Partial<SqlMigration & KyselyMigration> =
    typeof value === 'string' ? { sql: value } : (value ?? {})
  const common = { name, transaction: transaction !== false }
  if (typeof sql === 'string' && up === undefined) {
    return { ...common, sql: sql.replace(/^\ufeff/, '').replace(/\r\n/g, '\n'), checksum: null }
  }
  if (typeof up !== 'function' || sql !== undefined)
    throw configError('migrations', `${name} needs either sql or up`)
  if (checksum !== undefined && !(checksum.length > 0 && checksum.length <= 255))
    throw configError('migrations', `the checksum of ${name} has 1 to 255 characters`)
  // Called on the object itself: a migration may be an instance that uses `this`.
  return { ...common, up: (db) => (value as KyselyMigration).up(db), checksum: checksum ?? null }
}

import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { Kysely, SqliteDialect } from 'kysely'

/**
 * A Kysely over Node's own SQLite, for catalogs and tests: in memory, or in a file that several processes of one
 * machine may share. It has one connection, whose lock keeps two callers' transactions apart, and works in the
 * thread of the process: a wait for another process's lock (10 seconds at most) blocks the whole process.
 */
export function openSqlite(path = ':memory:'): Kysely<any> {
  const database = new DatabaseSync(path)
  if (path !== ':memory:') database.exec('PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL')
  const kysely = new Kysely<any>({
    dialect: new SqliteDialect({
      database: {
        close: () => database.close(),
        prepare(sql) {
          const statement = database.prepare(sql)
          const bind = (values: readonly unknown[]): SQLInputValue[] =>
            values.map((value) => (typeof value === 'boolean' ? Number(value) : (value as SQLInputValue)))
          return {
            reader: statement.columns().length > 0,
            all: (values) => statement.all(...bind(values)),
            run: (values) => statement.run(...bind(values)),
            iterate: (values) => statement.iterate(...bind(values)) as IterableIterator<unknown>,
          }
        },
      },
    }),
  })
  databases.set(kysely, database)
  return kysely
}

const databases = new WeakMap<Kysely<any>, DatabaseSync>()

/** Whether a statement has left a transaction open on the one connection of a Kysely of `openSqlite`. */
export function hasOpenTransaction(kysely: Kysely<any>): boolean {
  const database = databases.get(kysely)
  return database?.isOpen === true && database.isTransaction
}

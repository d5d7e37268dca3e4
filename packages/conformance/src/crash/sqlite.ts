import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { Kysely, SqliteDialect } from 'kysely'

/** A SQLite file that several processes share. */
export function openSqlite(path: string): Kysely<any> {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF')
  return new Kysely<any>({
    dialect: new SqliteDialect({
      database: {
        close: () => database.close(),
        prepare(sql) {
          const statement = database.prepare(sql)
          return {
            reader: statement.columns().length > 0,
            all: (values) => statement.all(...(values as SQLInputValue[])),
            run: (values) => statement.run(...(values as SQLInputValue[])),
            iterate: (values) =>
              statement.iterate(...(values as SQLInputValue[])) as IterableIterator<unknown>,
          }
        },
      },
    }),
  })
}

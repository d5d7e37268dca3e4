import { DatabaseSync } from 'node:sqlite'
import { Kysely, SqliteDialect } from 'kysely'

/** A SQLite database for a catalog; `path` shares it between connections and processes. */
export function sqlite(path = ':memory:'): Kysely<any> {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA busy_timeout = 5000')
  if (path !== ':memory:') database.exec('PRAGMA journal_mode = WAL')
  return new Kysely<any>({
    dialect: new SqliteDialect({
      database: {
        close: () => database.close(),
        prepare(sql) {
          const statement = database.prepare(sql)
          return {
            reader: statement.columns().length > 0,
            all: (values) => statement.all(...(values as [])),
            run: (values) => statement.run(...(values as [])),
            iterate: (values) => statement.iterate(...(values as [])) as IterableIterator<unknown>,
          }
        },
      },
    }),
  })
}
